"""Explain why a cell got its label in a label transfer, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import column_of, names_of

from ._expression._opinions import Opinion, opinions_for
from ._provenance._embedding_record import embedding_of, require_same_space
from ._votes._neighbor_votes import KERNELS, Kernel, vote
from ._votes._reference_labels import reference_labels, sizes_of
from ._votes._voters import n_cells_of, voters_in

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from scarches_plus._expression_classifier import ExpressionClassifier
    from scarches_plus._reference_summary import ReferenceSummary

#: Labels and batches of the neighbours that are spelled out.
_MOST_NAMES = 3
REASONS = ("accepted", "uncertain", "novel", "no labelled neighbor")


def explain_labels(
    adata: AnnData,
    reference: AnnData,
    labels_key: str,
    *,
    cells: Sequence[str] | NDArray[np.bool_] | None = None,
    batch_key: str | None = None,
    use_rep: str = _keys.EMBEDDING,
    k: int = 50,
    kernel: Kernel = "paper",
    classifier: ReferenceSummary | ExpressionClassifier | None = None,
    unknown_above: float | None = 0.5,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    novel_key: str | None = None,
) -> pd.DataFrame:
    """Say for each cell which labels compete, who its neighbours are, and why its label is accepted or not.

    Parameters
    ----------
    adata
        Query with an embedding; nothing is written into it.
    reference
        Reference with an embedding in the same latent space, and labels, or prototypes
        (:func:`reference_prototypes`).
    labels_key
        Column of ``reference.obs``.
    cells
        Which cells: names, or a boolean mask; by default all.
    batch_key
        Column of ``reference.obs``; with it the neighbours' batches are told.
    use_rep, k, kernel, classifier, unknown_above, unknown_category, unlabelled, novel_key
        As :func:`transfer_labels` was called. With ``novel_key`` what :func:`detect_novel` found is told too.

    Returns
    -------
    pandas.DataFrame
        A row for each cell. ``prediction``: what :func:`transfer_labels` says. ``reason``: ``"accepted"``,
        ``"uncertain"``, ``"novel"`` or ``"no labelled neighbor"``. ``label``, ``probability``, ``second_label``,
        ``second_probability``: the two best. ``neighbor_labels``: labels of the ``k`` neighbours and how many cells
        have them, three at most. ``distance``: mean distance to the neighbours. With a classifier, ``label`` and
        ``probability`` are of the consensus, and ``expression_label`` and ``expression_probability`` of the classifier
        alone. With ``batch_key``, ``neighbor_batches`` and ``n_batches``. With ``novel_key``, ``novel_score``,
        ``novel_label`` (the label that explains the cell best), ``novel_cluster`` and ``novel_threshold``.

    Raises
    ------
    KeyError
        If an embedding, a column, a cell or the record of novel cells is missing.
    ValueError
        If the embeddings lie in different latent spaces, no reference cell has a label, a mask of cells has another
        length, cells are chosen by names that are not unique, or the classifier is of another vote.
    TypeError
        If the classifier is none.

    Notes
    -----
    It is the vote (with a classifier, the consensus) over the labels as they are: with a hierarchy,
    :func:`transfer_labels` may answer at another level.

    References
    ----------
    Lotfollahi et al. 2021 (scArches), eq. 17-22.
    """
    check.cells("adata", adata, mudata=True)
    check.cells("reference", reference, mudata=True)
    check.texts(labels_key=labels_key, use_rep=use_rep, unknown_category=unknown_category)
    check.texts_or_none(batch_key=batch_key, novel_key=novel_key)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.distinct(labels_key=labels_key, batch_key=batch_key)
    k = check.whole("k", k, least=1)
    check.choice("kernel", kernel, KERNELS)
    if unknown_above is not None:
        check.number("unknown_above", unknown_above, least=0, most=1)
    require_same_space(adata, reference, use_rep)
    labels = reference_labels(reference, labels_key, unknown_category, unlabelled)
    names = list(labels.categories)
    rows = _rows(adata, cells)
    asked = adata if classifier is None or cells is None else adata[rows]
    opinion = _opinion(
        asked, labels_key, sizes_of(labels, n_cells_of(reference)), classifier, use_rep=use_rep, k=k, kernel=kernel
    )
    novelty = None if novel_key is None else _novelty(adata, novel_key, rows)
    batches = None if batch_key is None else _batches(reference, batch_key)

    voters = voters_in(reference, embedding_of(adata, use_rep)[rows], use_rep, k)
    codes = np.asarray(labels.codes)[voters.neighbors.indices]
    shares = vote(codes, voters.weights(kernel), len(names))
    voted = names
    if opinion is not None:
        by_expression, names = opinion.by_expression(slice(None)), list(opinion.labels)
        shares = opinion.joined(shares, by_expression)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :2]
    best = np.take_along_axis(shares, order, axis=1)
    order = np.where(best > 0, order, -1)
    highest = 1.0 if unknown_above is None else unknown_above
    reason = np.select([best[:, 0] == 0, 1 - best[:, 0] > highest], [3, 1], 0)
    if novelty is not None:
        reason[np.asarray(novelty.pop("novel"))] = 2
    given = np.where(reason == 0, order[:, 0], len(names))

    def coded(codes: NDArray, categories: Sequence[str]) -> Any:
        return pd.Categorical.from_codes(codes.tolist(), pd.Index(categories))

    table: dict[str, Any] = {
        "prediction": coded(given, [*names, unknown_category]),
        "reason": coded(reason, REASONS),
        "label": coded(order[:, 0], names),
        "probability": best[:, 0],
    }
    if len(names) > 1:
        table |= {"second_label": coded(order[:, 1], names), "second_probability": best[:, 1]}
    table |= {
        "neighbor_labels": _most_frequent(codes, voted, voters.sizes()),
        "distance": voters.neighbors.distances.mean(axis=1),
    }
    if opinion is not None:
        first = np.where(by_expression.any(axis=1), by_expression.argmax(axis=1), -1)
        table["expression_label"] = coded(first, names)
        table["expression_probability"] = by_expression.max(axis=1)
    if batches is not None:
        of_neighbors = np.asarray(batches.codes)[voters.neighbors.indices]
        ordered = np.sort(of_neighbors, axis=1)
        table["neighbor_batches"] = _most_frequent(of_neighbors, list(batches.categories), voters.sizes())
        table["n_batches"] = 1 + (np.diff(ordered, axis=1) > 0).sum(axis=1)
    if novelty is not None:
        table |= novelty
    return pd.DataFrame(table, index=adata.obs_names[rows])


def _opinion(adata: AnnData, labels_key: str, sizes: dict[str, int], classifier: Any, **vote: Any) -> Opinion | None:
    return opinions_for(adata, {labels_key: sizes}, classifier, **vote).get(labels_key)


def _rows(adata: AnnData, cells: Sequence[str] | NDArray[np.bool_] | None) -> NDArray[np.int64]:
    if cells is None:
        return np.arange(adata.n_obs)
    asked = np.asarray(cells)
    if asked.ndim != 1:
        message = f"cells must be a list of names of cells, or a boolean mask, not {check.shown(cells)}"
        raise TypeError(message)
    if asked.dtype == bool:
        if asked.shape != (adata.n_obs,):
            message = f"a mask of cells must have {adata.n_obs} entries, not shape {asked.shape}"
            raise ValueError(message)
        return np.flatnonzero(asked)
    if not adata.obs_names.is_unique:
        message = "names of cells are not unique: choose cells by a boolean mask, or call adata.obs_names_make_unique()"
        raise ValueError(message)
    rows = adata.obs_names.get_indexer(asked)
    if (rows < 0).any():
        message = f"cells {asked[rows < 0][:5].tolist()} are not in adata.obs_names"
        raise KeyError(message)
    return np.asarray(rows, dtype=np.int64)


def _batches(reference: AnnData, key: str) -> pd.Categorical:
    names = names_of(column_of(reference.obs, key, "reference.obs"))
    return pd.Categorical(["nan" if name is None else name for name in names])


def _novelty(adata: AnnData, key: str, rows: NDArray) -> dict[str, Any]:
    """Return what detect_novel wrote about some cells, under its usual names."""
    columns = {
        "novel": key,
        "novel_score": _keys.novel_score(key),
        "novel_label": _keys.novel_label(key),
        "novel_cluster": _keys.novel_cluster(key),
    }
    record = adata.uns.get(_keys.UNS, {}).get(_keys.NOVEL, {}).get(key, {})
    if "threshold" not in record or any(column not in adata.obs for column in columns.values()):
        message = (
            f"no record of novel cells {key!r}: call sp.tl.detect_novel(adata, reference, labels_key, ..., "
            f"key_added={key!r})"
        )
        raise KeyError(message)
    found = {name: adata.obs[column].array[rows] for name, column in columns.items()}
    return found | {"novel_threshold": float(record["threshold"])}


def _most_frequent(codes: NDArray, names: list[str], sizes: NDArray | None) -> NDArray:
    """Return the most frequent names among a cell's neighbours and how many have them.

    The text is such as ``"alpha 38, beta 12"``.
    """
    n_cells, known = len(codes), np.array(names, dtype=object)
    flat = np.arange(n_cells)[:, None] * (len(names) + 1) + np.where(codes < 0, len(names), codes)
    counts = np.bincount(flat.ravel(), None if sizes is None else sizes.ravel(), n_cells * (len(names) + 1))
    counts = counts.astype(np.int64).reshape(n_cells, -1)[:, :-1]
    order = np.argsort(-counts, axis=1, kind="stable")[:, :_MOST_NAMES]
    counts = np.take_along_axis(counts, order, axis=1)
    texts = pd.Series("", index=range(n_cells), dtype=object)
    for place in range(order.shape[1]):
        some = counts[:, place] > 0
        one = pd.Series(known[order[:, place]]) + " " + pd.Series(counts[:, place]).astype(str).astype(object)
        texts = (texts + (", " if place else "") + one).where(some, texts)
    return texts.to_numpy()
