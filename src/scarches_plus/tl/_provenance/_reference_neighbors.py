"""Find the neighbours of cells in a reference, by the index that it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _keys
from scarches_plus._neighbors import nearest

from ._embedding_record import embedding_of

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from scarches_plus._neighbors import Neighbors


def neighbors_in(reference: AnnData, embedding: NDArray, use_rep: str, k: int) -> Neighbors:
    """Return the nearest cells of a reference, all of a smaller one.

    Parameters
    ----------
    reference
        Cells with an embedding, and with an index of it if :func:`scarches_plus.tl.index_neighbors` made one.
    embedding
        Cells in the same space, shape ``(n_query, n_dimensions)``.
    use_rep
        ``obsm`` slot of the reference's embedding.
    k
        Number of neighbours.
    """
    index = reference.uns.get(_keys.UNS, {}).get(_keys.NEIGHBOR_INDEX, {}).get(use_rep)
    return nearest(embedding, embedding_of(reference, use_rep, "reference"), min(k, reference.n_obs), index=index)
