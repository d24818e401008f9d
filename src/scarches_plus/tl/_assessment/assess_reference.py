"""Assess a reference, and a query against it, before anything is mapped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import column_of, names_of
from scarches_plus._label_tree import LabelTree
from scarches_plus._load import load
from scarches_plus._logging import logger
from scarches_plus._reference import ReferenceSpec
from scarches_plus.tl._assessment._compare import compare
from scarches_plus.tl._assessment._findings import (
    findings_of_comparison,
    findings_of_labels,
    findings_of_studies,
    verdict_of,
    verdict_on_query,
)
from scarches_plus.tl._assessment._query import QueryPart, assess_query
from scarches_plus.tl._assessment.reference_assessment import ReferenceAssessment
from scarches_plus.tl._expression._sample_cells import even_sample
from scarches_plus.tl._provenance._embedding_record import embedding_of, require_space
from scarches_plus.tl._votes._reference_labels import reference_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from anndata import AnnData
    from numpy.typing import NDArray

    from scarches_plus.model import SCANVI, SCVI, TOTALVI

#: Labels that a note names.
_NAMED = 10


def assess_reference(
    adata: AnnData,
    model: SCVI | SCANVI | TOTALVI | str | Path | None = None,
    *,
    batch_key: str | None = None,
    labels_key: str | None = None,
    query: AnnData | None = None,
    use_rep: str = _keys.EMBEDDING,
    k: int = 15,
    min_cells: int = 20,
    max_cells: int | None = 50_000,
    layer: str | None = None,
    query_layer: str | None = None,
    query_batch_key: str | None = None,
    unknown_category: str | None = None,
    unlabelled: Collection[Any] | None = None,
    hierarchy: LabelTree | Mapping[str, str | None] | None = None,
    rng: int = 0,
) -> ReferenceAssessment:
    """Say whether a reference is fit to be mapped onto, and what to do next.

    Every study is left out in turn: the nearest cells of the others label its cells, and it labels theirs. This finds
    studies that do not integrate, labels that were swapped, names of one type that differ between studies, labels that
    contain what others tell apart, types that lie among others, and types of few cells. With a query: its genes, values
    and depth, its distance to the reference, and the labels that its genes do not tell apart.

    Parameters
    ----------
    adata
        Cells of the reference with their embedding (:func:`build_reference` writes it, :func:`embed` makes it) and
        labels. Not changed. Raw counts are needed for the part on a query only.
    model
        Reference model, or what names one for :func:`scarches_plus.load`: says what a query needs, and which columns
        are of batches and labels. Needs no cells of its own.
    batch_key
        ``obs`` column of studies (or batches) to leave out in turn; by default the model's.
    labels_key
        ``obs`` column of labels; by default the model's.
    query
        Cells with raw counts that are to be mapped. Not changed.
    use_rep
        ``obsm`` slot of the embedding.
    k
        Nearest cells that vote, and around which mixing is measured.
    min_cells
        Labels of fewer cells are named.
    max_cells
        Take at most so many cells, evenly of all studies and labels; ``None`` takes all.
    layer
        Layer with the reference's raw counts; ``None`` means ``X``.
    query_layer, query_batch_key
        Where the query has counts and batches, if not where the model expects them.
    unknown_category
        Name of cells without a label; by default the model's, "Unknown" without one.
    unlabelled
        Further words that are no label, as they are spelt; ``()`` lets all count. ``None``: "Unknown", "Mixed" and the
        other words in :doc:`/guide/labels`, in any case.
    hierarchy
        Hierarchy of the labels (:func:`scarches_plus.pp.label_tree`): a label agrees with those it contains and those
        that contain it. By default the model's, if it was trained on one.
    rng
        Seed of the draw of cells.

    Returns
    -------
    ReferenceAssessment
        Printable; ``.verdict``, ``.findings`` with the next step of each, tables, ``.to_html(path)``.

    Raises
    ------
    KeyError
        If the embedding, a column or a layer is missing.
    ValueError
        If no column of studies or labels is named, a cell has no study, no cell has a label, the embedding is of
        another model, or a number is out of range.
    TypeError
        If an argument is of another kind.

    Notes
    -----
    The embedding was trained on the study that is left out, so agreement is an upper bound of what a query reaches.

    Mixing is measured among cells that get one label by the others, so that studies with other types are not blamed:
    the share of neighbours from other studies, divided by what even mixing within the type gives. Thresholds are in
    :doc:`/guide/build`.

    References
    ----------
    Lotfollahi et al. 2020 (scArches), Suppl. Note 1: a study that fails to integrate, and labels that are coarser than
    those of other studies (T cells of the Human Cell Landscape), spoil what is mapped later.

    Examples
    --------
    >>> import scanpy as sc
    >>> import scarches_plus as sp
    >>> cells = sp.datasets.simulate(600, n_types=3, batch_effect=0.0, depth_effect=0.0)
    >>> sc.pp.pca(cells, n_comps=10)
    >>> report = sp.tl.assess_reference(cells, batch_key="batch", labels_key="cell_type", use_rep="X_pca")
    >>> report.ok
    True
    """
    check.cells("adata", adata)
    check.cells("query", query, or_none=True)
    check.texts(use_rep=use_rep)
    check.texts_or_none(
        batch_key=batch_key,
        labels_key=labels_key,
        layer=layer,
        query_layer=query_layer,
        query_batch_key=query_batch_key,
        unknown_category=unknown_category,
    )
    k = check.whole("k", k, least=1)
    min_cells = check.whole("min_cells", min_cells, least=1)
    max_cells = None if max_cells is None else check.whole("max_cells", max_cells, least=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.seed("rng", rng, generator=False)
    tree = None if hierarchy is None else LabelTree.of(hierarchy)
    opened: Any = load(model) if isinstance(model, str | Path) else model
    spec = _spec(opened)
    tree = getattr(opened, "hierarchy", None) if tree is None else tree
    if unknown_category is None:
        unknown_category = (spec.unlabeled_category if spec else None) or _keys.UNKNOWN
    batch_key, labels_key = _columns(batch_key, labels_key, spec)
    embedding = embedding_of(adata, use_rep)
    if spec is not None:
        require_space(adata, use_rep, opened.state.space, embedding.shape[1], "the model")
    studies, names = _studies(adata, batch_key)
    labels = reference_labels(adata, labels_key, unknown_category, unlabelled)
    codes = np.asarray(labels.codes, dtype=np.int64)
    taken = np.arange(adata.n_obs) if max_cells is None else _draw(codes, studies, max_cells, rng)

    found = compare(
        embedding[taken], studies[taken], codes[taken], names, list(map(str, labels.categories)), tree=tree, k=k
    )
    found.labels["n_cells"] = np.bincount(codes[codes >= 0], minlength=len(labels.categories))
    part = QueryPart()
    if query is not None:
        part = assess_query(
            query, adata, labels, studies, spec,
            layer=spec.layer if layer is None and spec is not None else layer,
            query_layer=query_layer, query_batch_key=query_batch_key, rng=rng,
        )  # fmt: skip
    own = [
        *findings_of_studies(found.studies, found.disagreements, batch_key),
        *findings_of_labels(found.disagreements, found.labels, min_cells),
    ]
    verdict = verdict_of(own, found.studies)
    everything = [*findings_of_comparison(found.studies), *own, *part.findings]
    worst_first = tuple(sorted(everything, key=lambda one: ("fatal", "error", "warning").index(one.severity)))
    report = ReferenceAssessment(
        verdict=verdict if query is None else f"{verdict}; {verdict_on_query(part.findings)}",
        findings=worst_first,
        studies=found.studies,
        labels=found.labels,
        disagreements=found.disagreements,
        confusable=part.confusable,
        query=part.measured,
        notes=(*_notes(found.labels, names, batch_key, len(taken), adata.n_obs), *part.notes),
        options={"batch_key": batch_key, "labels_key": labels_key, "use_rep": use_rep, "k": k, "max_cells": max_cells},
    )
    logger.info("%s", report)
    return report


def _spec(model: Any) -> ReferenceSpec | None:
    if model is None:
        return None
    check.supported_model(model)
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ReferenceSpec):
        message = f"model must be a model of scarches_plus (sp.load opens others), not {check.shown(model)}"
        raise TypeError(message)
    return spec


def _columns(batch_key: str | None, labels_key: str | None, spec: ReferenceSpec | None) -> tuple[str, str]:
    batch_key = batch_key or (spec.batch_key if spec else None)
    labels_key = labels_key or (spec.labels_key if spec else None)
    if batch_key is None or labels_key is None:
        lacking = "batch_key" if batch_key is None else "labels_key"
        message = f"name the obs column of {'studies' if batch_key is None else 'labels'}: {lacking}=..."
        raise ValueError(message)
    check.distinct(batch_key=batch_key, labels_key=labels_key)
    return batch_key, labels_key


def _studies(adata: AnnData, batch_key: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return the study of every cell as a number, and the names."""
    given = names_of(column_of(adata.obs, batch_key))
    if pd.isna(given).any():
        message = f"{pd.isna(given).sum()} cells have no study in obs[{batch_key!r}]; fill it, or leave them out"
        raise ValueError(message)
    codes, names = pd.factorize(given, sort=True)
    return codes.astype(np.int64), list(map(str, names))


def _draw(codes: NDArray[np.int64], studies: NDArray[np.int64], most: int, rng: int) -> NDArray[np.intp]:
    return even_sample(codes + 1, studies, most, np.random.default_rng(rng))


def _notes(labels: pd.DataFrame, studies: list[str], batch_key: str, n_taken: int, n_cells: int) -> list[str]:
    found = []
    if n_taken < n_cells:
        found.append(f"studies are compared on {n_taken} of {n_cells} cells (max_cells)")
    if len(studies) < 2:
        return [*found, f"there is one study in obs[{batch_key!r}]: nothing says how its labels pass to another"]
    alone = labels["label"][labels["n_studies"] == 1].tolist()
    if alone:
        more = ", ..." if len(alone) > _NAMED else ""
        found.append(f"labels of one study, which no other confirms: {', '.join(alone[:_NAMED])}{more}")
    return found
