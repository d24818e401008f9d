"""Measure which states of a reference a query covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import require_writable
from scarches_plus._logging import logger
from scarches_plus._neighbors import nearest, nearest_within
from scarches_plus._reference_map import ReferenceMap
from scarches_plus._reference_summary import part_of
from scarches_plus.tl._novelty._novel_cells import novel_cells
from scarches_plus.tl._provenance._embedding_record import (
    are_cells,
    embedding_of,
    embedding_space,
    require_space,
    versions,
)
from scarches_plus.tl._provenance._reference_neighbors import neighbors_in
from scarches_plus.tl._votes._neighbor_votes import kernel_weights
from scarches_plus.tl._votes._reference_labels import reference_labels
from scarches_plus.tl._votes._voters import n_cells_of

from ._neighbor_count import neighbor_count
from ._presence_scores import presence_by_label, presence_scores, votes_for

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

    from scarches_plus._reference_summary import ReferenceSummary


def presence(
    reference: AnnData | MuData | ReferenceMap | ReferenceSummary,
    query: AnnData | MuData,
    *,
    labels_key: str | None = None,
    unlabelled: Collection[Any] | None = None,
    use_rep: str = _keys.EMBEDDING,
    k: int = 50,
    novel_key: str | None = None,
    key_added: str = _keys.PRESENCE,
) -> pd.DataFrame:
    """Measure which states of a reference a query covers, and how surely.

    Each cell of the query shares one vote among its ``k`` nearest points of the reference, by kernel weights. The votes
    around a point (its own and those of its ``k`` nearest points), as a share of all votes, are divided by the same of
    the reference's cells voting for each other: 1 is as densely as the reference itself, or more, and 0 not at all. So
    queries of different size compare, and a type that is rarer in the query than in the reference scores below 1.

    Parameters
    ----------
    reference
        Map (:func:`reference_map`), a summary with one (:func:`reference_summary`), or cells with an embedding, which
        receive ``obs[key_added]``.
    query
        Cells with an embedding in the same latent space. They receive
        ``uns["scarches_plus"]["presence"][key_added]``: the scores of all points, ``"scores"``, for
        :func:`scarches_plus.pl.reference_map`, and what was used.
    labels_key
        ``obs`` column of labels for the table, of a reference with cells. A map has its own.
    unlabelled
        Words in it that are no label, as :func:`reference_map` takes them.
    use_rep
        ``obsm`` slot of the embedding.
    k
        Number of neighbours, all points of a smaller reference. Of a map without cells, as many anchors as stand for so
        many cells, three at least.
    novel_key
        ``obs`` column of :func:`detect_novel`: cells that it calls novel do not vote, since their nearest points are
        not near.
    key_added
        Where scores are written.

    Returns
    -------
    pandas.DataFrame
        A row for each label: ``presence``, the mean score of its cells; ``n_query`` and ``share``, number and share of
        the query's votes, and ``low`` and ``high``, the 95 % interval of the share if the query's cells are a sample
        (Jeffreys), wide for small queries; ``n_reference`` and ``reference_share``. Empty without labels.

    Raises
    ------
    KeyError
        If an embedding or column is missing.
    ValueError
        If reference and query lie in different latent spaces, or no cell votes.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    The score follows the presence scores of HNOCA-tools and CellMapper, which sum each reference cell's connectivities
    to the query and stretch the result between its percentiles. Here the votes of the reference for itself take the
    percentiles' place, so that a score does not depend on the query's other scores.

    References
    ----------
    He et al. 2024, An integrated transcriptomic cell atlas of human neural organoids (presence scores); CellMapper,
    https://github.com/quadbio/cellmapper.
    """
    reference = part_of(reference, "map")
    if not isinstance(reference, ReferenceMap) and not are_cells(reference):
        message = (
            "reference must be a map (sp.tl.reference_map) or an AnnData with an embedding, not "
            f"{check.shown(reference)}"
        )
        raise TypeError(message)
    check.cells("query", query, mudata=True)
    check.texts(use_rep=use_rep)
    check.texts_or_none(labels_key=labels_key, novel_key=novel_key)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    k = check.whole("k", k, least=1)
    check.slot("key_added", key_added)
    require_writable(query, copy=None)
    if isinstance(reference, ReferenceMap):
        if (labels_key, unlabelled) != (None, None):
            message = "labels_key and unlabelled are of a reference with cells; a map has its labels: leave them out"
            raise ValueError(message)
        latent, n_cells, space = reference.latent, reference.n_cells, reference.space
        of_label, labels = reference.of_label, reference.labels
    else:
        require_writable(reference, copy=None)
        latent, space = embedding_of(reference, use_rep, "reference"), embedding_space(reference, use_rep)
        n_cells, of_label, labels = n_cells_of(reference), np.full(len(latent), -1), ()
        if labels_key is not None:
            named = reference_labels(reference, labels_key, _keys.UNKNOWN, unlabelled)
            of_label, labels = named.codes, tuple(named.categories)
    require_space(query, use_rep, space, latent.shape[1], "the reference")
    voting = np.ones(query.n_obs, dtype=bool) if novel_key is None else ~novel_cells(query, novel_key)
    if not voting.any() or len(latent) < 2:
        message = "no cell of the query votes" if not voting.any() else "the reference has one point"
        raise ValueError(message)

    k = neighbor_count(k, n_cells)
    cells = embedding_of(query, use_rep, "query")[voting]
    found = neighbors_in(reference, cells, use_rep, k) if are_cells(reference) else nearest(cells, latent, k)
    query_votes = votes_for(found.indices, _shares(found.distances), len(latent))
    within = nearest_within(latent, min(k, len(latent) - 1))
    own_votes = votes_for(within.indices, _shares(within.distances) * n_cells[:, None], len(latent))
    scores = presence_scores(query_votes, own_votes, within.indices)
    table = presence_by_label(scores, query_votes, n_cells, of_label, labels)
    record: dict[str, Any] = {
        "scores": scores.astype(np.float32), "k": k, "kernel": "gaussian", "use_rep": use_rep,
        "n_query": int(voting.sum()), "novel_key": novel_key or "", "space": space or "", "versions": versions(),
    }  # fmt: skip
    query.uns.setdefault(_keys.UNS, {}).setdefault(_keys.PRESENCE, {})[key_added] = record
    if are_cells(reference):
        reference.obs[key_added] = scores
    logger.info("presence of %d states from %d cells: mean %.2f", len(scores), record["n_query"], scores.mean())
    return table


def _shares(distances: NDArray) -> NDArray[np.float64]:
    weights = kernel_weights(distances, "gaussian")
    return weights / weights.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
