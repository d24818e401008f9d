"""Compute the entropy of batches among each cell's nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.special import entr

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense, nearest_within
from scarches_plus.metrics._shared._checks import coded_batches, first_neighbors, rows_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def batch_entropy(
    embedding: ArrayLike,
    batches: ArrayLike,
    *,
    k: int = 15,
    normalize: bool = False,
    cells: ArrayLike | None = None,
    neighbors: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""Entropy of the batches around every cell.

    :math:`E_c = -\sum_b p_{cb} \log p_{cb}`, where :math:`p_{cb}` is the share of batch :math:`b` among the `k` nearest
    other cells of cell :math:`c`. Average it over a cell type to see whether that type mixes: a type that only one
    batch contains should not.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    batches
        Batch of every cell, shape ``(n,)``.
    k
        Number of neighbours.
    normalize
        Divide by the logarithm of the number of batches, so that values lie between 0 and 1.
    cells
        Indices or mask of the cells wanted; by default all. The neighbours come from all cells in any case.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already. Must not contain the cell itself.

    Returns
    -------
    Entropies in nats, or in units of their maximum if `normalize`; shape ``(n,)``, or that of `cells`.

    Raises
    ------
    ValueError
        If there is one batch only, `batches` does not fit `embedding` or has missing values, `k` exceeds the other
        cells, or `neighbors` contains cells as neighbours of themselves.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    scArches (Lotfollahi et al. 2020), eq. 15 and 16; eq. 15 is printed without its minus sign.
    """
    cells = None if cells is None else rows_of(cells, len(dense(embedding)))
    k = check.whole("k", k, least=1)
    check.flags(normalize=normalize)
    codes, names = coded_batches(batches, len(dense(embedding)))
    if len(names) < 2:
        message = f"the entropy of batches needs at least 2 batches; every cell is of batch {names[0]!r}"
        raise ValueError(message)
    if neighbors is None:
        indices = nearest_within(embedding, k, rows=cells).indices
    else:
        indices = first_neighbors(np.asarray(neighbors), len(codes), k)
        indices = indices if cells is None else indices[np.asarray(cells)]

    counts = csr_array(
        (np.ones(indices.size), codes[indices].ravel(), np.arange(0, indices.size + 1, k)),
        shape=(len(indices), len(names)),
    )
    counts.sum_duplicates()
    counts.data = entr(counts.data / k)
    entropies = counts.sum(axis=1)
    return entropies / np.log(len(names)) if normalize else entropies
