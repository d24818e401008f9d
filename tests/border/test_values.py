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
