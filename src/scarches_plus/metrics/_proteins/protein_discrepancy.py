"""Measure the distance of a cell's proteins from those of its nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense
from scarches_plus.metrics._shared._nearest import nearest_others
from scarches_plus.metrics._shared._protein_input import checked_proteins

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def protein_discrepancy(
    embedding: ArrayLike, proteins: ArrayLike, *, k: int = 50, neighbors: ArrayLike | None = None
) -> float:
    r"""Measure how far a cell's proteins are from those of its neighbours: lower is better.

    Neighbours are those in the embedding.

    :math:`\frac 1 n \sum_c \|x_c - \frac 1 k \sum_{j \in N_c} x_j\|^2`, where :math:`N_c` are the `k` nearest other
    cells. Proteins that the model has not seen are evidence of cell states that no computed label gives.

    Parameters
    ----------
    embedding
        Embedding of the cells whose proteins were measured, shape ``(n, d)``.
    proteins
        Proteins of the same cells, dense or sparse, shape ``(n, n_proteins)``. Proteins with larger values weigh more:
        see :func:`scale_proteins`.
    k
        Number of nearest other cells.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already. Must not contain the cell itself.

    Returns
    -------
    float
        Mean over the cells of the squared difference, summed over the proteins. Without structure near ``1 + 1 / k``
        times the summed variance of the proteins.

    Raises
    ------
    ValueError
        If `proteins` does not fit `embedding` or has missing values, `k` exceeds the other cells, or `neighbors`
        contains cells as neighbours of themselves.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    The text of the paper says sum of squared differences, the caption of its figure mean squared error: divide by the
    number of proteins for the latter.

    References
    ----------
    scANVI (Xu et al. 2019), "Transferring cell type annotations between datasets" and Fig. 5c.
    """
    k = check.whole("k", k, least=1)
    n_cells = len(dense(embedding))
    values = checked_proteins(proteins, n_cells)
    indices = nearest_others(embedding, k, neighbors)
    mean_of = csr_array(
        (np.full(indices.size, 1 / k), indices.ravel(), np.arange(0, indices.size + 1, k)), shape=(n_cells, n_cells)
    )
    return float(((values - mean_of @ values) ** 2).sum(axis=1).mean())
