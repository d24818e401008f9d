"""Values that are no counts are named as what they probably are, by every verb that reads counts."""

import numpy as np
import pandas as pd
import pytest
from border_cells import FAST, model, per_cell, query, ref, with_x
from scipy import sparse

import scarches_plus as sp
from scarches_plus.pp import QueryError, check_query

pytestmark = pytest.mark.border

NO_COUNTS = {
    "log1p of 10,000": (lambda x: np.log1p(per_cell(x)), "log1p of counts normalised to 10,000"),
    "log1p of the median": (lambda x: np.log1p(per_cell(x, 377.0)), "log1p of counts normalised to 377"),
    "log2(CPM + 1)": (lambda x: np.log2(per_cell(x, 1e6) + 1), "log2(x + 1) of CPM or TPM"),
    "log10(CPM + 1)": (lambda x: np.log10(per_cell(x, 1e6) + 1), "log10(x + 1) of CPM or TPM"),
    "log1p of raw counts": (np.log1p, "log1p of"),
    "log2(raw + 1)": (lambda x: np.log2(x + 1), "log2(x + 1) of"),
    "square roots": (np.sqrt, "square root of"),
    "CPM": (lambda x: per_cell(x, 1e6), "CPM or TPM"),
    "10,000 per cell": (per_cell, "counts normalised to 10,000 per cell"),
    "proportions": (lambda x: per_cell(x, 1.0), "proportions"),
    "binarised": (np.sign, "binarised"),
    "multiplied by 3": (lambda x: 3 * x, "counts multiplied by 3"),
    "CPM, rounded": (lambda x: np.rint(per_cell(x, 1e6)), "normalised"),
    "logarithms, cut to whole numbers": (lambda x: np.rint(np.log2(per_cell(x, 1e6) + 1)), "rounded logarithms"),
    "scaled": (
        lambda x: (np.log1p(per_cell(x)) - np.log1p(per_cell(x)).mean(0)) / np.log1p(per_cell(x)).std(0),
        "scaled",
    ),
}


@pytest.mark.parametrize("case", NO_COUNTS)
def test_no_counts_are_named(border, case):
    change, says = NO_COUNTS[case]
    adata = with_x(query(), change)
    border.refused(
        lambda: sp.tl.map_query(adata, model(), **FAST), QueryError, (says, "Fix:"), kind="B1", case=case,
        shown="map_query(query, model)",
    )  # fmt: skip


def test_dense_and_sparse_have_one_verdict(border):
    adata = with_x(query(), lambda x: np.log1p(per_cell(x)))
    told = check_query(adata, model()).problems
    adata.X = adata.X.toarray()
    border.refused(
        lambda: sp.tl.map_query(adata, model(), **FAST), QueryError, "log1p of counts normalised to 10,000", kind="B1",
        case="logarithms as a dense array", shown="map_query(query, model)",
    )  # fmt: skip
    border.works(
        lambda: check_query(adata, model()).problems, lambda found: found == told, kind="B1",
        case="logarithms as a dense array", shown="check_query(query, model)",
    )  # fmt: skip


@pytest.mark.parametrize("key", ["batch", None])
def test_one_batch_of_logarithms(border, key):
    adata = query()
    of_one = (adata.obs["batch"] == "batch3").to_numpy()
    x = adata.X.toarray().astype(np.float64)
    x[of_one] = np.log1p(per_cell(x[of_one]))
    adata.X = sparse.csr_matrix(x.astype(np.float32))
    report = check_query(adata, batch_key=key)
    border.refused(
        report.raise_for_problems, QueryError,
        ("log1p of counts", f"{of_one.sum()} of {adata.n_obs} cells", *(["batch3"] if key else [])), kind="B1",
        case=f"one batch of logarithms, batch_key={key!r}", shown=f"check_query(query, batch_key={key!r})",
    )  # fmt: skip


VERBS = {
    "build_reference": lambda bad: sp.tl.build_reference(bad, "batch", max_epochs=1),
    "embed": lambda bad: sp.tl.embed(bad, model()),
    "detect_novel": lambda bad: sp.tl.detect_novel(bad, wide(ref()), "cell_type", batch_key="batch"),
    "detect_novel, reference": lambda bad: sp.tl.detect_novel(wide(query()), bad, "cell_type", batch_key="batch"),
    "label_profiles": lambda bad: sp.tl.label_profiles(bad, "cell_type", "batch"),
    "expression_classifier": lambda bad: sp.tl.expression_classifier(bad, "cell_type"),
    "annotate": lambda bad: sp.tl.annotate(bad, ref(), "cell_type"),
    "seed_labels": lambda bad: sp.pp.seed_labels(bad, {"a": ["gene1"], "b": ["gene2"]}, 5),
    "normalize_gene_length": lambda bad: sp.pp.normalize_gene_length(bad, np.ones(bad.n_vars)),
    "rank_genes": lambda bad: sp.tl.rank_genes(bad, "cell_type"),
    "expression_table": lambda bad: sp.tl.expression_table(bad, "cell_type", "batch", genes=["gene1"]),
    "concat_studies": lambda bad: sp.pp.concat_studies({"a": bad}),
    "check_query without a model": lambda bad: check_query(bad).raise_for_problems(),
}


def wide(adata):
    """The same cells with more genes, as novelty needs them."""
    import anndata

    more = adata.copy()
    more.var_names = [f"more{i}" for i in range(more.n_vars)]
    both = anndata.concat([adata, more], axis="var", merge="first")
    both.obs = adata.obs.copy()
    return both


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_names_them(border, verb):
    bad = with_x(wide(query()) if "novel" in verb else query(), lambda x: np.log1p(per_cell(x)))
    border.refused(
        lambda: VERBS[verb](bad), QueryError, "log1p of counts normalised to 10,000", kind="B1",
        case=f"logarithms in {verb}", shown=f"{verb.split(',')[0]}(logarithms)",
    )  # fmt: skip


def test_estimated_counts_warn(border):
    rng = np.random.default_rng(0)
    adata = with_x(
        query(), lambda x: np.where(rng.random(x.shape) < 0.2, 40 * x * rng.uniform(0.4, 1, x.shape), 40 * x)
    )
    border.warned(
        lambda: sp.tl.embed(adata, model(), batch_key="batch") if False else sp.tl.map_query(adata, model(), **FAST),
        ("not whole numbers", "estimated counts"), kind="B1", case="counts that salmon estimated",
        shown="map_query(query, model)",
    )  # fmt: skip


@pytest.mark.parametrize("n_cells", [1, 3, 25])
def test_few_cells_are_counts(border, n_cells):
    adata = query()[:n_cells].copy()
    border.works(
        lambda: [one for one in check_query(adata).problems if "probably" in one.message], lambda found: not found,
        kind="B1", case=f"raw counts of {n_cells} cells", shown="check_query(query[:n])",
    )  # fmt: skip


def test_a_shallow_panel_is_counts(border):
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.3, 0.05, (1, 300)) * np.ones((2000, 1)))
    adata = sp.datasets.simulate(2000, 300, 2)
    adata.X = sparse.csr_matrix(counts.astype(np.float32))
    border.works(
        lambda: [one for one in check_query(adata).problems if "probably" in one.message], lambda found: not found,
        kind="B1", case="5 counts in a cell of a panel", shown="check_query(panel)",
    )  # fmt: skip


def test_counts_thinned_to_one_depth_are_counts(border):
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(500, 0.1), 200)
    counts = np.stack([rng.multinomial(1000, share) for share in shares])
    adata = sp.datasets.simulate(200, 500, 2)
    adata.X = sparse.csr_matrix(counts.astype(np.float32))
    border.works(
        lambda: [one for one in check_query(adata).problems if "probably" in one.message], lambda found: not found,
        kind="B1", case="counts thinned to 1,000 per cell", shown="check_query(thinned)",
    )  # fmt: skip


def test_a_frame_is_no_query(border):
    border.refused(
        lambda: check_query(pd.DataFrame(np.ones((2, 2)))), TypeError, "adata must be an AnnData", kind="B1",
        case="a table instead of cells", shown="check_query(DataFrame)",
    )  # fmt: skip


def _of_cells(x):
    return x * np.random.default_rng(0).integers(2, 9, (len(x), 1))


def _deep(x):
    return np.random.default_rng(0).poisson(40 * x)


def _smoothed(x):
    near = np.random.default_rng(0).random((len(x), len(x))) ** 20 + np.eye(len(x))
    return np.sqrt(per_cell(near @ x / near.sum(axis=1, keepdims=True), 300))


LENGTHS = np.random.default_rng(1).integers(300, 8000, 40)
ALSO_NO_COUNTS = {
    "each cell multiplied by its own": (_of_cells, "each cell was multiplied by a number of its own"),
    "half of the cells multiplied": (lambda x: np.where(np.arange(len(x))[:, None] % 2, 7 * x, x), "multiples of [7]"),
    "divided by lengths of genes": (lambda x: 1000 * x / LENGTHS, "each gene was divided by a number of its own"),
    "scaled without centring": (lambda x: 50 * x / x.std(axis=0), "each gene was divided by a number of its own"),
    "cut off at 10": (lambda x: np.minimum(x * 5 // 2, 10), "values lie at the largest number, 10"),
    "8 bits that overflowed": (lambda x: _deep(x) % 256, "values lie at the largest number, 255"),
    "8 bits that are full": (lambda x: np.minimum(_deep(x), 255), "values lie at the largest number, 255"),
    "ranks among all genes": (
        lambda x: np.where(x > 0, x.argsort(axis=1).argsort(axis=1) + 1, 0), "ranks of genes within cells"
    ),
    "square roots of smoothed counts": (_smoothed, "not raw counts"),
    "counts times 0.5": (lambda x: x / 2, "counts multiplied by 0.5"),
}  # fmt: skip


@pytest.mark.parametrize("case", ALSO_NO_COUNTS)
def test_what_else_was_made_of_counts_is_named(border, case):
    change, says = ALSO_NO_COUNTS[case]
    adata = with_x(query(), change)
    border.works(
        lambda: str(check_query(adata, model())), lambda told: says in told, kind="B1", case=case,
        shown="check_query(query, model)",
    )  # fmt: skip


LEGITIMATE = {
    "thinned to a tenth": lambda x: np.random.default_rng(0).binomial(x.astype(int), 0.1),
    "sums of neighbours": lambda x: x + x[::-1],
    "one deep gene": lambda x: np.column_stack([x[:, 1:], 500 + np.random.default_rng(0).poisson(400, len(x))]),
    "12 cells, 20 times each": lambda x: np.repeat(x[:12], 20, axis=0),
    "cells of very different depth": lambda x: np.random.default_rng(0).poisson(
        x * np.geomspace(0.05, 50, len(x))[:, None]
    ),
    "ambient counts taken away": lambda x: np.maximum(x - np.random.default_rng(0).poisson(0.3, x.shape), 0),
}


@pytest.mark.parametrize("case", LEGITIMATE)
def test_counts_are_called_nothing_else(border, case):
    adata = with_x(query(), LEGITIMATE[case])
    border.works(
        lambda: [one for one in check_query(adata).problems if "probably" in one.message], lambda found: not found,
        kind="B1", case=case, shown="check_query(query)",
    )  # fmt: skip


def test_sums_of_logarithms(border):
    adata = with_x(query(), lambda x: np.log1p(per_cell(x)))
    pairs = pd.DataFrame({"old": adata.var_names, "new": ["A", "A", *adata.var_names[2:]]})
    for verb in (sp.pp.map_gene_ids, sp.pp.map_orthologs):
        border.refused(
            lambda verb=verb: verb(adata, pairs, many_to_one="sum"), QueryError, "log1p of counts", kind="B1",
            case="sums of logarithms", shown=f"{verb.__name__}(logarithms, table, many_to_one='sum')",
        )  # fmt: skip
    pairs["new"] = pairs["old"] + "x"
    border.works(
        lambda: sp.pp.map_gene_ids(adata, pairs), lambda found: found[0].n_vars == 40, kind="B1",
        case="other names of logarithms", shown="map_gene_ids(logarithms, one to one)",
    )  # fmt: skip


def test_methods_of_models_say_what_values_are(border):
    adata = with_x(ref(), lambda x: np.log1p(per_cell(x)))
    border.warned(
        lambda: model().embed(adata), ("log1p of counts normalised to 10,000", "layer="), kind="B1",
        case="logarithms in model.embed", shown="model.embed(logarithms)",
    )  # fmt: skip


def test_a_reference_of_odd_counts_is_built_with_a_warning(border):
    adata = with_x(ref(), lambda x: 0.37 * x)
    border.warned(
        lambda: sp.tl.build_reference(adata, "batch", max_epochs=1, train_kwargs={"enable_progress_bar": False}),
        "counts multiplied by 0.37", kind="B1", case="counts times 0.37", shown="build_reference(adata, 'batch')",
    )  # fmt: skip


DRIFT_CELLS = {
    "logarithms": (lambda: with_x(ref(), lambda x: np.log1p(per_cell(x))), "log1p of counts"),
    "3 genes": (lambda: ref()[:, :3].copy(), "only 3 of the reference's 40 genes"),
    "no cells": (lambda: ref()[:0].copy(), "0 cells"),
    "other batches": (query, "drift_cells are no cells of the reference"),
}


@pytest.mark.parametrize("case", DRIFT_CELLS)
def test_cells_for_drift_are_looked_at_before_the_work(border, case):
    make, says = DRIFT_CELLS[case]
    border.refused(
        lambda: sp.tl.map_query(query(), model(), drift_cells=make(), **FAST), ValueError, says, kind="B1",
        case=f"drift_cells: {case}", shown="map_query(query, model, drift_cells=...)",
    )  # fmt: skip
