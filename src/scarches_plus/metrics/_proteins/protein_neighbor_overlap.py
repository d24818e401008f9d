"""Measure the overlap of neighbours in the embedding and in protein space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense
from scarches_plus.metrics._movement.neighbor_preservation import _jaccard
from scarches_plus.metrics._shared._nearest import nearest_others
from scarches_plus.metrics._shared._protein_input import checked_proteins

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def protein_neighbor_overlap(
    embedding: ArrayLike,
    proteins: ArrayLike,
    *,
    k: int = 50,
    neighbors: ArrayLike | None = None,
    protein_neighbors: ArrayLike | None = None,
) -> float:
    """Overlap of a cell's neighbours in the embedding and in the space of its proteins.

    The Jaccard index of the two sets of the `k` nearest other cells, averaged over cells.

    Parameters
    ----------
    embedding
        Embedding of the cells whose proteins were measured, shape ``(n, d)``.
    proteins
        Proteins of the same cells, dense or sparse, shape ``(n, n_proteins)``. Proteins with larger values weigh more:
        see :func:`scale_proteins`. Cells at equal distances are ranked by their order where rounding leaves
        them equal, so shuffle cells that are sorted.
    k
        Number of nearest other cells.
    neighbors
        Indices of the nearest other cells of every cell in the embedding, nearest first, shape ``(n, at least k)``, if
        they are known already. Must not contain the cell itself.
    protein_neighbors
        The same for `proteins`.

    Returns
    -------
    Mean Jaccard index: 1 if the neighbours are the same, near ``k / (2 n)`` if they have nothing to do with each other.

    Raises
    ------
    ValueError
        If `proteins` does not fit `embedding` or has missing values, `k` exceeds the other cells, or cells are given as
        neighbours of themselves.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    The text of the paper says overlap; the caption of its figure "k-nearest neighbors purity", which its Online Methods
    define as here. Of `s` shared neighbours, the share ``s / k`` is ``2 J / (1 + J)``, with `J` the index of one cell.

    References
    ----------
    scANVI (Xu et al. 2019), "Transferring cell type annotations between datasets" and Supplementary Figure 11a.
    """
    k = check.whole("k", k, least=1)
    values = checked_proteins(proteins, len(dense(embedding)))
    near, near_by_protein = (
        nearest_others(embedding, k, neighbors),
        nearest_others(values, k, protein_neighbors, "protein_neighbors"),
    )
    return float(_jaccard(near, near_by_protein).mean())
