"""Place query cells in the fixed picture of a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.spatial import cKDTree

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import require_writable
from scarches_plus._logging import logger
from scarches_plus._neighbors import nearest
from scarches_plus._reference_summary import map_of
from scarches_plus.tl._provenance._embedding_record import copy_of, embedding_of, require_space, versions
from scarches_plus.tl._votes._neighbor_votes import kernel_weights

from ._encoder import encode
from ._geometric_median import geometric_median
from ._neighbor_count import neighbor_count

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

    from scarches_plus._reference_map import ReferenceMap
    from scarches_plus._reference_summary import ReferenceSummary

Method = Literal["neighbors", "parametric"]
METHODS: tuple[str, ...] = get_args(Method)
_NUMBERS = 2**22  # that one step holds
#: A cell lies in a gap if it is farther from any point than this share of the points are from each other.
_TYPICAL = 0.999
_SAMPLE = 20_000


def place(
    query: AnnData | MuData,
    reference_map: ReferenceMap | ReferenceSummary,
    *,
    use_rep: str = _keys.EMBEDDING,
    method: Method = "neighbors",
    k: int = 15,
    key_added: str = _keys.MAP,
    copy: bool = False,
) -> MuData | AnnData | None:
    """Place query cells in the fixed picture of a reference; no point of the reference moves.

    Where a cell lies says what it is like, not whether the reference has its type: a cell of an unseen type lies among
    those that it is least unlike. :func:`detect_novel` looks for such cells, and :func:`scarches_plus.pl.reference_map`
    marks them.

    Parameters
    ----------
    query
        Cells with an embedding in the latent space of the map. They receive ``obsm[key_added]``, shape
        ``(n_cells, 2)``, and in ``uns["scarches_plus"]["placement"][key_added]`` what was used and ``"in_gaps"``, the
        share of cells that are farther from any point of the map than 99.9 % of the points are from each other.
    reference_map
        What :func:`reference_map` returned, or that :meth:`~ReferenceMap.without_cells`; or a summary with a map, such
        as that of a bundle (:func:`scarches_plus.hub.load_summary`).
    use_rep
        ``obsm`` slot of the query's embedding.
    method
        ``"neighbors"``: the geometric median of the positions of the ``k`` nearest points of the map in the latent
        space, weighed by :func:`transfer_labels`' kernel ``"gaussian"`` and the number of cells of the points. A cell
        then lies among most of its neighbours, where a mean would lie between their islands. ``"parametric"``: where
        the map's encoder puts it; needs no search.
    k
        Number of neighbours, all points of a smaller map. Of a map without cells, as many anchors as stand for so many
        cells, three at least.
    key_added
        ``obsm`` slot for the positions.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    AnnData or MuData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If the embedding is missing.
    ValueError
        If query and map lie in different latent spaces, or the map has no encoder for ``method="parametric"``.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    Vardi and Zhang 2000 (geometric median); Sainburg, McInnes and Gentner 2021 (parametric UMAP).
    """
    check.cells("query", query, mudata=True)
    picture = map_of("reference_map", reference_map)
    check.texts(use_rep=use_rep)
    check.choice("method", method, METHODS)
    k = check.whole("k", k, least=1)
    check.slot("key_added", key_added)
    check.flags(copy=copy)
    require_writable(query, copy=copy)
    require_space(query, use_rep, picture.space, picture.latent.shape[1], "the map")
    embedding = embedding_of(query, use_rep, "query")
    record: dict[str, Any] = {"method": method, "use_rep": use_rep, "basis": picture.basis}
    if method == "neighbors":
        k = neighbor_count(k, picture.n_cells)
        places = _among_neighbors(embedding, picture, k)
        record |= {"k": k, "kernel": "gaussian"}
    elif picture.encoder is None:
        message = (
            "method='parametric' needs an encoder, which reference_map has not: "
            "sp.tl.reference_map(reference, parametric=True)"
        )
        raise ValueError(message)
    else:
        places = encode(picture.encoder, embedding)
    record |= {
        "n_points": len(picture.points),
        "n_cells": int(picture.n_cells.sum()),
        "in_gaps": float((cKDTree(picture.points).query(places)[0] > _typical(picture.points)).mean()),
        "space": picture.space or "",
        "versions": versions(),
    }
    query = copy_of(query) if copy else query
    query.obsm[key_added] = places.astype(np.float32)
    query.uns.setdefault(_keys.UNS, {}).setdefault(_keys.PLACEMENT, {})[key_added] = record
    logger.info(
        "obsm[%r]: %d cells by %s among %d points; %.1f %% lie in gaps (no sign of novelty)",
        key_added, len(places), method, record["n_points"], 100 * record["in_gaps"],
    )  # fmt: skip
    return query if copy else None


def _among_neighbors(embedding: NDArray, reference_map: ReferenceMap, k: int) -> NDArray[np.float64]:
    found = nearest(embedding, reference_map.latent, k)
    places = np.empty((len(embedding), 2))
    step = max(1, _NUMBERS // k**2)
    for start in range(0, len(places), step):
        rows = slice(start, start + step)
        indices = found.indices[rows]
        weights = kernel_weights(found.distances[rows], "gaussian") * reference_map.n_cells[indices]
        places[rows] = geometric_median(reference_map.points[indices], weights)
    return places


def _typical(points: NDArray) -> float:
    """Return how far points are from each other at most, as a rule."""
    some = points[np.linspace(0, len(points) - 1, min(_SAMPLE, len(points))).astype(int)]
    apart = cKDTree(points).query(some, k=[min(2, len(points))])[0]
    return float(np.quantile(apart, _TYPICAL))
