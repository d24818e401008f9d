"""Rank genes by how much they tell labels apart within batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A batch with fewer cells of a label says nothing about it.
_FEW = 5
#: Variance of log expression that is added to that within labels, so that genes of a few cells do not win.
_NOISE = 0.02


def gene_information(logs: sparse.csr_matrix, codes: NDArray, batches: NDArray) -> NDArray[np.float64]:
    """Return the share of each gene's variance that is between labels, averaged over batches.

    Labels weigh the same however many cells they have. Differences between batches count for nothing, since each batch
    is looked at by itself; where no batch has two labels with five cells, all cells are taken for one batch.

    Parameters
    ----------
    logs
        Log expression, shape ``(n_cells, n_genes)``.
    codes, batches
        Labels and batches, shape ``(n_cells,)``.

    Returns
    -------
    numpy.ndarray
        In [0, 1), shape ``(n_genes,)``.
    """
    parts = (batches == batch for batch in np.unique(batches))
    found = [_between(logs[np.flatnonzero(part)], codes[part], _FEW) for part in parts]
    found = [share for share in found if share is not None] or [_between(logs, codes, 1)]
    return np.mean(found, axis=0)  # type: ignore[no-any-return, arg-type]


def _between(logs: sparse.csr_matrix, codes: NDArray, fewest: int) -> NDArray | None:
    """Return the share of variance between labels of enough cells, ``None`` if these are fewer than two."""
    labels, of_label, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    enough = sizes >= fewest
    if enough.sum() < 2:
        return None
    averages = sparse.csr_matrix(
        (1.0 / sizes[of_label], (of_label, np.arange(len(codes)))), shape=(len(labels), len(codes))
    )
    means = (averages @ logs).toarray()[enough]
    within = ((averages @ logs.multiply(logs)).toarray()[enough] - means**2).clip(0).mean(axis=0)
    between = means.var(axis=0)
    return between / (between + within + _NOISE)  # type: ignore[no-any-return]
