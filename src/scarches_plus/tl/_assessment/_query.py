"""Hold a query against a reference: genes, depth, distance, and labels that its genes do not tell apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scarches_plus import _keys
from scarches_plus._cells import counts_layer, counts_of
from scarches_plus._reference import ReferenceSpec
from scarches_plus.pp import Problem, QueryError, check_query, require_counts
from scarches_plus.tl._detect_novel import detect_novel
from scarches_plus.tl._expression._fit_classifier import fit_classifier
from scarches_plus.tl._novelty._verdict import USUAL_SHIFT

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = ("label", "other", "confused", "with_all_genes")
#: Share of a label's cells that get another label, from which the two are not told apart; and how much more that is
#: than with all genes, from which it is for the query's genes.
CONFUSED, MORE = 0.3, 0.15
#: Depth of a query, as a share of that of the reference's shallowest study, below which labels become uncertain.
SHALLOW = 0.25


@dataclass
class QueryPart:
    """What was found of a query: findings, figures, pairs of labels and notes."""

    findings: list[Problem] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    confusable: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS)))
    notes: list[str] = field(default_factory=list)


def assess_query(
    query: AnnData,
    reference: AnnData,
    labels: pd.Categorical,
    studies: NDArray[np.int64],
    spec: ReferenceSpec | None,
    *,
    layer: str | None,
    query_layer: str | None,
    query_batch_key: str | None,
    rng: int,
) -> QueryPart:
    """Assess a query.

    Parameters
    ----------
    query, reference
        Cells with raw counts; those of the reference may be gone.
    labels, studies
        Of the reference's cells; -1 is no label.
    spec
        What the model expects; ``None`` without a model.
    layer, query_layer, query_batch_key
        Where counts and batches are.
    rng
        Seed.
    """
    part = QueryPart()
    expected = spec or ReferenceSpec(tuple(map(str, reference.var_names)))
    report = check_query(
        query, expected, layer=query_layer or ("X" if spec is None else None), batch_key=query_batch_key
    )
    part.findings += report.problems
    genes = [gene for gene in expected.var_names if gene in reference.var_names]
    covered = [gene for gene in genes if gene in query.var_names]
    part.measured |= {
        "cells of the query": query.n_obs,
        "genes of the reference": len(expected.var_names),
        "genes covered": report.n_genes_found,
    }
    source = counts_layer(layer, None)
    if (reference.X if source is None else source if source in reference.layers else None) is None:
        part.notes.append(
            "the reference's cells came without counts: depth, distance and labels that the query's genes confuse are "
            "not judged; pass its cells with counts"
        )
        return part
    own_layer = counts_layer(query_layer, None if spec is None else spec.layer)
    if not covered or not _are_counts(query, own_layer):
        part.notes.append("depth and distance are not judged before the query's problems are solved")
        return part
    require_counts(reference, layer)
    counts = sparse.csr_matrix(counts_of(reference, source), dtype=np.float32)
    counts = counts[:, reference.var_names.get_indexer(genes)]
    own = sparse.csr_matrix(counts_of(query, own_layer), dtype=np.float32)[:, query.var_names.get_indexer(covered)]
    here = np.isin(genes, covered)
    _depth(part, own, counts[:, here], studies)
    names = pd.DataFrame({"label": labels, "study": studies.astype(str)}, reference.obs_names)
    _distance(part, AnnData(own, var=pd.DataFrame(index=covered)), AnnData(counts, names, pd.DataFrame(index=genes)))
    _confusable(part, counts, here, labels, studies, rng=rng)
    return part


def _are_counts(query: AnnData, layer: str | None) -> bool:
    try:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # the report has them
            require_counts(query, layer)
    except (KeyError, QueryError):
        return False
    return query.var_names.is_unique


def _depth(part: QueryPart, own: sparse.csr_matrix, counts: sparse.csr_matrix, studies: NDArray[np.int64]) -> None:
    """Compare the query's depth with that of the shallowest study, which the model knows, too."""
    depth = float(np.median(np.asarray(own.sum(axis=1))))
    totals = pd.Series(np.asarray(counts.sum(axis=1)).ravel())
    shallowest = float(totals.groupby(studies).median().min())
    part.measured |= {"counts of a cell of the query": depth, "of the reference's shallowest study": shallowest}
    if depth < SHALLOW * shallowest:
        message = (
            f"cells of the query have {depth:,.0f} counts on the genes they share, those of the reference's "
            f"shallowest study {shallowest:,.0f}"
        )
        part.findings.append(
            Problem("warning", message, "expect fine labels to be uncertain; ask for those above them (hierarchy=)")
        )


def _distance(part: QueryPart, query: AnnData, reference: AnnData) -> None:
    """Measure how much of the agreement with labels even the best cells lack, as the search for novel cells does."""
    try:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # what they say is said below
            detect_novel(query, reference, "label", batch_key="study")
    except ValueError as error:
        part.notes.append(f"the distance to the reference is not judged: {error}")
        return
    record = query.uns[_keys.UNS][_keys.NOVEL]["novel"]
    part.measured |= {
        "agreement with the reference's labels": float(record["agreement"]),
        "agreement of the reference's studies": float(record["expected"]),
    }
    if not record["judged"]:
        part.findings.append(
            Problem(
                "warning",
                "the query's cells show too little of the contrasts between the reference's labels to be placed surely",
                "see that genes and species are the reference's; take a nearer reference, or a query of several types",
            )
        )
        return
    part.measured |= {"shift": float(record["shift"]), "cells that no label explains": float(record["called"])}
    if record["shift"] > USUAL_SHIFT[1]:
        part.findings.append(
            Problem(
                "warning",
                f"the query is farther from the reference (shift {record['shift']:.2f}) than 99 % of the queries that "
                f"this was measured on ({USUAL_SHIFT[1]})",
                "take a nearer reference, or map with strategy='all', and check labels by marker genes",
            )
        )


def _confusable(
    part: QueryPart,
    counts: sparse.csr_matrix,
    here: NDArray[np.bool_],
    labels: pd.Categorical,
    studies: NDArray[np.int64],
    *,
    rng: int,
) -> None:
    """Find labels that the query's genes tell apart worse than all genes do, on studies held out."""
    codes = np.asarray(labels.codes, dtype=np.int64)
    with_counts = np.asarray(counts[:, here].sum(axis=1)).ravel() > 0
    rows = np.flatnonzero((codes >= 0) & with_counts)
    if len(np.unique(codes[rows])) < 2:
        part.notes.append("labels that genes confuse are not judged: there are fewer than two labels")
        return
    shares = []
    for genes in (here, np.ones(len(here), dtype=bool)) if not here.all() else (here,):
        _, _, held = fit_classifier(counts[rows][:, genes], codes[rows], studies[rows], len(labels.categories), rng)
        if not len(held.cells):
            part.notes.append("labels that genes confuse are not judged: no label is in two studies")
            return
        table = pd.crosstab(codes[rows][held.cells], held.logs.argmax(axis=1), normalize="index")
        shares.append(table.reindex(columns=range(len(labels.categories)), fill_value=0.0))
    own, whole = (table.reindex(shares[0].index, fill_value=0.0).to_numpy() for table in (shares[0], shares[-1]))
    names = [str(label) for label in labels.categories]
    pairs = [
        (names[int(code)], names[other], float(own[row, other]), float(whole[row, other]))
        for row, code in enumerate(shares[0].index)
        for other in np.flatnonzero(own[row] >= CONFUSED)
        if code != other
    ]
    part.confusable = pd.DataFrame(pairs, columns=list(COLUMNS)).sort_values("confused", ascending=False)
    lost = part.confusable[part.confusable["confused"] - part.confusable["with_all_genes"] >= MORE]
    for row in lost.to_dict("records"):
        part.findings.append(
            Problem(
                "warning",
                f"with the query's genes {row['label']!r} is not told from {row['other']!r}: {row['confused']:.0%} of "
                f"its cells would be called so, {row['with_all_genes']:.0%} with all genes",
                "take either label of the query for one of the two, or ask for the label above them (hierarchy=)",
            )
        )
