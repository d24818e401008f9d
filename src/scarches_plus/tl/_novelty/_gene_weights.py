"""Weigh genes by how well they tell labels apart across batches.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Genes that contrasts are made of at most.
MOST_GENES = 1000
#: How much the variance between batches counts against a gene, beside that between labels.
_BATCH = 2.0
#: How much the variance within labels counts against it: a pool of cells averages most of it out.
_WITHIN = 0.05
#: Variance between batches, as a share of that within labels, where there is one batch.
_USUAL_BATCH = 0.15
#: Variance of log expression that every gene has at least.
_LEAST = 0.02


def usual_batch_variance(within: NDArray) -> NDArray[np.float64]:
    """Return the variance between batches to reckon with where a reference of one batch says nothing about it.

    0.15 of that within labels: the median gene's ratio is 0.06 to 0.10 in references of droplets, and that of all genes
    0.08 to 0.20.
    """
    return _USUAL_BATCH * within


def gene_weights(profiles: NDArray, batch: NDArray, within: NDArray) -> NDArray[np.float64]:
    r"""Return how much each gene counts in a contrast, shape ``(n_genes,)``.

    With the variance of log expression between labels :math:`a`, between batches :math:`b` and within labels :math:`c`
    it is :math:`a / (a + 2 b + 0.05 c) / \sqrt{b + c + 0.02}`.

    Parameters
    ----------
    profiles
        Log expression of labels, shape ``(n_labels, n_genes)``.
    batch, within
        Variance of log expression between the batches of a label, and among its cells, shape ``(n_genes,)``.
    """
    between = profiles.var(axis=0, ddof=1)
    total = between + _BATCH * batch + _WITHIN * within
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    return share / np.sqrt(batch + within + _LEAST)  # type: ignore[no-any-return]


def informative(profiles: NDArray, weights: NDArray, most: int = MOST_GENES) -> NDArray[np.int64]:
    """Return the positions of the genes with the largest weighted contrasts between labels, in their order."""
    if len(weights) <= most:
        return np.arange(len(weights))
    return np.sort(np.argsort(-weights * profiles.std(axis=0), kind="stable")[:most])
