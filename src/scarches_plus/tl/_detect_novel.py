"""Detect novel cells: cells of a query that no label of the reference explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import counts_layer, counts_of, require_writable
from scarches_plus._label_profiles import LabelProfiles, on_genes
from scarches_plus._logging import logger
from scarches_plus._reference_summary import part_of
from scarches_plus.pp import require_counts

from ._novelty._find_novel import Found, find_novel
from ._novelty._pools import POOL
from ._novelty._verdict import ALPHAS, LEAST_AGREEMENT, LEAST_CONTRAST, USUAL_SHIFT
from ._provenance._embedding_record import copy_of, record_of, versions
from ._provenance.summary import tell_outcome
from ._summary.label_profiles import label_profiles

if TYPE_CHECKING:
    from collections.abc import Collection

    from scarches_plus._reference_summary import ReferenceSummary

#: Share of cells called novel above which the user is warned.
_MANY = 0.25
#: Fewer shared genes tell labels apart by chance.
_FEWEST_GENES = 50


def detect_novel(
    adata: AnnData,
    reference: AnnData | ReferenceSummary | LabelProfiles,
    labels_key: str | None = None,
    *,
    batch_key: str | None = None,
    alpha: float = 0.05,
    layer: str | None = None,
    reference_layer: str | None = None,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    key_added: str = "novel",
    rng: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Find the cells that no label of the reference explains, from counts, whatever the label vote says.

    The vote of neighbours (:func:`transfer_labels`) knows which labels are near, not whether any of them fits. Here
    each cell is pooled with its nearest neighbours within the query, and the pool's contrast (log expression less the
    query's centre) correlated with the contrasts of the reference's labels. What all cells of the query share drops
    out. Novelty is the agreement that a cell lacks beside what the reference's batches reach with one another and what
    other cells of the query reach with the same label. No model is needed, and the query's labels are not read.

    Parameters
    ----------
    adata
        Query with raw counts. Receives, with ``key_added="novel"``, ``obs["novel"]`` (is the cell novel),
        ``obs["novel_state"]`` (``"known"``, ``"novel"``, or ``"not judged"`` where no honest answer can be had;
        ``novel`` is False then), ``obs["novel_score"]`` (novelty: 0 like the best-known cells of the query),
        ``obs["novel_label"]`` (the label that explains the cell best; missing where nothing is judged) and
        ``obs["novel_cluster"]`` (clusters most of whose cells are novel, named by size; missing for other cells); and
        a record in ``uns["scarches_plus"]["novel"]``: share called, range of false calls, agreement of the query
        with the reference beside that of the reference's batches, shift, and which types would hide among which.
    reference
        Reference cells with raw counts, or their summary (:func:`reference_summary` or :func:`label_profiles`), which a
        bundle can carry (:func:`scarches_plus.hub.load_summary`).
    labels_key, batch_key
        ``obs`` columns of the reference; ``None`` for those that :func:`build_reference` was given with these cells.
        Not needed with profiles.
    alpha
        Share of known cells that may be called novel, 0.005 to 0.3. The threshold is a constant: this share was called
        on average over queries of other batches, studies and technologies (:doc:`/guide/novel`). For one query
        expect a range, which is logged and recorded: 0 to 0.2 for 0.05. References of one batch have thresholds of
        their own.
    layer, reference_layer
        Layers with raw counts; ``None`` means ``X``.
    unknown_category
        Name of reference cells without a label.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    key_added
        First part of the names.
    rng
        Seed.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If a column or a layer is missing.
    ValueError
        If counts are negative or not finite, names of genes are not unique or fewer than 50 of them shared, the query
        has fewer than 17 cells with counts, the reference fewer than two labels, or ``alpha`` is not between 0.005 and
        0.3.

    TypeError
        If the reference is neither cells nor profiles, but a model for instance, or cells are MuData.

    Warns
    -----
    UserWarning
        If counts are not whole numbers, cells have none (they are not judged), nothing
        can be judged (a query of one type has no contrasts of its own: what sets all of its cells apart counts as
        shift; types of another species agree too little with the labels), the shift is outside what thresholds were
        measured on, or more than a quarter of the cells are called novel.

    Notes
    -----
    Near neighbours in type hide: the record's ``"may_hide"`` names labels whose own cells in this query would be taken
    for another label if the reference lacked theirs.

    References
    ----------
    Contrasts of pooled cells: this package. What noise leaves of a correlation: Spearman 1904 (attenuation).
    """
    check.cells("adata", adata)
    check.texts_or_none(labels_key=labels_key, batch_key=batch_key, layer=layer, reference_layer=reference_layer)
    check.distinct(labels_key=labels_key, batch_key=batch_key)
    alpha = check.number("alpha", alpha, least=ALPHAS[0], most=ALPHAS[1])
    check.texts(unknown_category=unknown_category)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.slot("key_added", key_added)
    check.seed("rng", rng, generator=False)
    check.flags(copy=copy)
    for which, one in (("adata", adata), ("reference", reference)):
        if isinstance(one, MuData):
            message = f"{which} is MuData; novelty is found in genes' counts: pass that modality, such as mdata['rna']"
            raise TypeError(message)
    require_writable(adata, copy=copy)
    reference = part_of(reference, "profiles")
    if not isinstance(reference, AnnData | LabelProfiles):
        message = (
            "novelty is found in counts: pass reference cells or their summary (sp.hub.load_summary(path), where a "
            f"bundle carries one), not {check.shown(reference)}"
        )
        raise TypeError(message)
    if isinstance(reference, LabelProfiles) and (labels_key, batch_key, reference_layer, unlabelled) != (None,) * 4:
        message = (
            "a summary knows labels, batches and counts: leave out labels_key, batch_key, reference_layer and "
            "unlabelled"
        )
        raise ValueError(message)
    if adata.n_obs <= POOL + 1:
        message = f"the query has {adata.n_obs} cells; pools need at least {POOL + 2}"
        raise ValueError(message)
    genes = _shared_genes(adata, reference)
    require_counts(adata, layer)
    counts = sparse.csr_matrix(counts_of(adata, counts_layer(layer, None)), dtype=np.float32)
    counts = counts[:, adata.var_names.get_indexer(genes)]
    if not isinstance(reference, LabelProfiles):
        labels_key, batch_key = _columns_of(reference, labels_key, batch_key)
        reference = label_profiles(
            reference[:, genes], labels_key, batch_key, layer=reference_layer, unknown_category=unknown_category,
            unlabelled=unlabelled, min_cells=1,
        )  # fmt: skip
    seen = np.flatnonzero(np.asarray(counts.sum(axis=1)).ravel() > 0)
    if len(seen) <= POOL + 1:
        message = (
            f"{len(seen)} cells of the query have counts of the {len(genes)} shared genes in {layer or 'X'}; pools "
            f"need at least {POOL + 2}"
        )
        raise ValueError(message)
    found = find_novel(
        counts[seen], on_genes(reference, pd.Index(reference.genes).get_indexer(pd.Index(genes))), alpha, rng
    )
    found = found.among(seen, adata.n_obs)

    adata = copy_of(adata) if copy else adata
    columns = {key_added: found.novel, _keys.novel_score(key_added): found.score}
    columns |= _columns(key_added, reference.labels, found)
    for name, values in columns.items():
        adata.obs[name] = values
    adata.uns.setdefault(_keys.UNS, {}).setdefault(_keys.NOVEL, {})[key_added] = {
        "alpha": alpha,
        "genes": len(genes),
        "layer": layer or "X",
        "labels": list(reference.labels),
        "left_out": list(reference.left_out),
        "batches": list(reference.batches),
        **found.record(reference.labels),
        "versions": versions(),
    }
    on = f"by counts in {layer or 'X'} on {len(genes)} shared genes and {len(reference.labels)} labels"
    if reference.left_out:
        logger.info(
            "%s: the profiles leave out %s, which have few cells: their cells look novel",
            key_added, list(reference.left_out),
        )  # fmt: skip
    _tell(key_added, found, on, alpha)
    tell_outcome(adata, _keys.NOVEL, key_added)
    return adata if copy else None


def _columns_of(reference: AnnData, labels_key: str | None, batch_key: str | None) -> tuple[str, str]:
    """Return the reference's columns: those that are given, else those that it was built with."""
    built = record_of(reference, _keys.EMBEDDING).get("training", {})
    labels_key, batch_key = labels_key or built.get("labels_key"), batch_key or built.get("batch_key")
    if not labels_key or not batch_key:
        message = "name the reference's columns: labels_key=... and batch_key=..., or pass its summary"
        raise ValueError(message)
    return labels_key, batch_key


def _shared_genes(adata: AnnData, reference: AnnData | LabelProfiles) -> list[str]:
    names = reference.genes if isinstance(reference, LabelProfiles) else tuple(map(str, reference.var_names))
    for which, cells in (("query", adata), ("reference", reference)):
        unique = (
            len(set(cells.genes)) == len(cells.genes) if isinstance(cells, LabelProfiles) else cells.var_names.is_unique
        )
        if not unique:
            message = f"names of genes are not unique in the {which}: {which}.var_names_make_unique()"
            raise ValueError(message)
    own = set(map(str, adata.var_names))
    if not names:
        message = (
            "the reference has no genes, only what was made of it (as model/reference.h5ad has): pass its cells with "
            "counts, or its summary"
        )
        raise ValueError(message)
    shared = [gene for gene in names if gene in own]
    if len(shared) < _FEWEST_GENES:
        all_of_one = len(shared) == min(len(names), len(own))
        advice = "pass cells with all measured genes" if all_of_one else "see sp.pp.match_gene_names"
        message = f"query and reference share {len(shared)} of {len(names)} genes, fewer than {_FEWEST_GENES}: {advice}"
        raise ValueError(message)
    return shared


def _columns(key: str, labels: tuple[str, ...], found: Found) -> dict[str, Any]:
    names = [f"{key} {number + 1}" for number in range(found.cluster.max() + 1)]
    unjudged = np.isnan(found.score) | (not found.judged)
    state = np.select([unjudged, found.novel], ["not judged", "novel"], "known")
    return {
        _keys.novel_state(key): pd.Categorical(state, categories=["known", "novel", "not judged"]),
        _keys.novel_label(key): pd.Categorical.from_codes(found.label.tolist(), categories=pd.Index(labels)),
        _keys.novel_cluster(key): pd.Categorical.from_codes(
            found.cluster.tolist(), categories=pd.Index(names, dtype=object)
        ),
    }


def _tell(key: str, found: Found, on: str, alpha: float) -> None:
    """Log what was found, and warn where it should not be taken at its word."""
    if not found.judged:
        logger.info("%s: not judged, %s", key, on)
        message = (
            f"obs[{key!r}] is False and obs[{_keys.novel_state(key)!r}] 'not judged' for all cells: {_why_not(found)}"
        )
        warn(message, UserWarning, stacklevel=3)
        return
    low, high = found.false_calls
    logger.info(
        "%s: %d of %d cells (%.1f %%), %s; of known cells %.3g %% are expected among them, and %.1f to %.1f %% were in "
        "nine of ten scenarios; agreement with labels %.2f, of batches of the reference %.2f; shift %.2f",
        key, found.novel.sum(), len(found.novel), 100 * found.novel.mean(), on, 100 * alpha, 100 * low, 100 * high,
        found.agreement, found.expected, found.shift,
    )  # fmt: skip
    if empty := int(np.isnan(found.score).sum()):
        message = f"{empty} cells have no counts of the shared genes: obs[{_keys.novel_state(key)!r}] is 'not judged'"
        warn(message, UserWarning, stacklevel=3)
    if not USUAL_SHIFT[0] <= found.shift <= USUAL_SHIFT[1]:
        message = (
            f"even the cells that labels explain best lack {found.shift:.3f} of the agreement, and "
            f"{USUAL_SHIFT[0]} to {USUAL_SHIFT[1]} in the queries that thresholds were measured on: the share of false "
            "calls may be another"
        )
        warn(message, UserWarning, stacklevel=3)
    if found.novel.mean() > _MANY:
        message = (
            f"the query differs much from the reference: {found.novel.mean():.0%} of the cells are called novel. Look "
            f"at obs[{_keys.novel_score(key)!r}] and at marker genes before taking these cells for new types"
        )
        warn(message, UserWarning, stacklevel=3)


def _why_not(found: Found) -> str:
    """Return why a query is not judged, and what helps."""
    if found.contrast < LEAST_CONTRAST:
        return (
            "the query has too few contrasts that labels of the reference share (contrast "
            f"{found.contrast:.2f}, at least {LEAST_CONTRAST}), as if its cells were of one type, known or unknown. If "
            "genes' names, species and layer are right: detect novel cells in all cells of the study together, or add "
            "cells of other types from it"
        )
    return (
        f"the query's types agree with the reference's labels by {found.agreement:.2f}, and its batches with "
        f"one another by {found.expected:.2f}; at least {LEAST_AGREEMENT:.0%} of that is needed. So it is where genes, "
        "layer or species are others, or most cells new, or cells too few. Check genes' names, species and layer; "
        "detect novel cells in all cells of the study together; or take a nearer reference"
    )
