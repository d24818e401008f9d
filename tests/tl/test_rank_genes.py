"""Marker genes on AnnData."""

import anndata
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse
from scipy.stats import ttest_ind_from_stats

import scarches_plus as sp

FIELDS = ["names", "scores", "pvals", "pvals_adj", "logfoldchanges"]


@pytest.fixture
def adata():
    adata = sp.datasets.simulate(240, 40, 3, type_effect=0.5, mean_depth=60.0, rng=0)
    adata.obs["group"] = adata.obs["cell_type"].cat.rename_categories({"type0": "a/b", "type1": "1", "type2": "T cell"})
    return adata


def normalized(adata):
    adata = adata.copy()
    adata.X = adata.X.astype(np.float64)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


def by_gene(adata, group, key="rank_genes_groups"):
    return sc.get.rank_genes_groups_df(adata, group, key=key).set_index("names")


@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_equals_scipy_gene_by_gene(adata, factor):
    sp.tl.rank_genes(adata, "group", reference_std_factor=factor)
    X = sparse.csr_matrix(normalized(adata).X).toarray()
    for group in adata.obs["group"].cat.categories:
        cells = X[(adata.obs["group"] == group).to_numpy()]
        table = by_gene(adata, group)
        assert (np.diff(table["scores"]) <= 0).all()
        for i, gene in enumerate(adata.var_names):
            a, b = cells[:, i], X[:, i]
            theirs = ttest_ind_from_stats(
                a.mean(), a.std(ddof=1), len(a), b.mean(), factor * b.std(ddof=1), len(b), equal_var=False
            )
            ours = table.loc[gene]
            np.testing.assert_allclose([ours["scores"], ours["pvals"]], theirs, rtol=1e-5, atol=1e-7)


def test_with_factor_1_it_is_scanpy_s_test_against_a_group_of_all_cells(adata):
    sp.tl.rank_genes(adata, "group", reference_std_factor=1.0)
    theirs = normalized(adata)
    everything = theirs.copy()
    everything.obs["group"] = "everything"
    theirs = anndata.concat([theirs, everything], index_unique="-")
    theirs.obs["group"] = theirs.obs["group"].astype("category")
    sc.tl.rank_genes_groups(theirs, "group", reference="everything", method="t-test")
    for group in adata.obs["group"].cat.categories:
        a, b = by_gene(adata, group), by_gene(theirs, group)
        pd.testing.assert_frame_equal(a.sort_index(), b.sort_index(), rtol=1e-4, atol=1e-7, check_names=False)


def test_the_structure_is_scanpy_s(adata, tmp_path):
    theirs = normalized(adata)
    sc.tl.rank_genes_groups(theirs, "group", method="t-test")
    sp.tl.rank_genes(adata, "group")
    a, b = adata.uns["rank_genes_groups"], theirs.uns["rank_genes_groups"]
    assert set(a) == set(b)
    assert set(b["params"]) <= set(a["params"])
    assert a["params"]["method"] == b["params"]["method"]
    for field in FIELDS:
        assert type(a[field]) is type(b[field])
        assert a[field].dtype == b[field].dtype
        assert a[field].shape == b[field].shape
    adata.write_h5ad(tmp_path / "a.h5ad")
    read = anndata.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(sc.get.rank_genes_groups_df(read, None), sc.get.rank_genes_groups_df(adata, None))


def test_scanpy_draws_it(adata):
    sp.tl.rank_genes(adata, "group", n_genes=8)
    adata = normalized(adata)
    sc.pl.rank_genes_groups(adata, n_genes=5, show=False)
    sc.pl.rank_genes_groups_dotplot(adata, n_genes=3, dendrogram=False, show=False)
    sc.tl.filter_rank_genes_groups(adata)
    plt.close("all")


def test_a_large_factor_prefers_large_effects(adata):
    """Of two markers with equal t by Welch, the one whose group differs by more standard deviations comes first."""
    n = 400
    rng = np.random.default_rng(0)
    group = np.arange(n) < 20
    small = rng.poisson(20, n) + 6 * group
    large = rng.poisson(20, n) + group * rng.poisson(15, n) * (rng.random(n) < 0.8)
    rest = rng.poisson(2000, n)
    obs = pd.DataFrame({"g": np.where(group, "x", "y")}, index=[f"c{i}" for i in range(n)])
    cells = anndata.AnnData(np.stack([small, large, rest], axis=1).astype(float), obs=obs)
    sp.tl.rank_genes(cells, "g", reference_std_factor=1.0, key_added="welch")
    sp.tl.rank_genes(cells, "g")
    welch, ten = by_gene(cells, "x", "welch")["scores"], by_gene(cells, "x")["scores"]
    assert ten["1"] / ten["0"] > welch["1"] / welch["0"]
    assert (ten.abs() <= welch.abs()).all()


def test_filters(adata):
    X = adata.X.toarray()
    X[:, 0] = 0
    adata.X = sparse.csr_matrix(X)
    totals = pd.Series(np.asarray(normalized(adata).X.sum(axis=0)).ravel(), index=adata.var_names)
    least = totals.median()
    sp.tl.rank_genes(adata, "group", min_total=least, n_genes=5)
    sp.tl.rank_genes(adata, "group", min_total=least, key_added="every")
    whole, first = by_gene(adata, "1", "every"), by_gene(adata, "1")
    assert set(whole.index) == set(totals.index[totals >= least])
    pd.testing.assert_frame_equal(whole.iloc[:5], first)
    sp.tl.rank_genes(adata, "group", key_added="paper")
    sp.tl.rank_genes(adata, "group", min_total=0, key_added="all")
    assert set(by_gene(adata, "1", "paper").index) == set(totals.index[totals >= 20])
    assert set(by_gene(adata, "1", "all").index) == set(totals.index)
    assert set(totals.index) > set(totals.index[totals >= 20])
    with pytest.raises(ValueError, match=r"min_total=1000000000\.0"):
        sp.tl.rank_genes(adata, "group", min_total=1e9)


def test_genes_without_variance(adata):
    X = adata.X.toarray()
    X[:, 0] = 0
    adata.X = sparse.csr_matrix(X)
    sp.tl.rank_genes(adata, "group", min_total=0)
    silent = by_gene(adata, "1").loc["gene0"]
    assert (silent["scores"], silent["pvals"], silent["pvals_adj"], silent["logfoldchanges"]) == (0, 1, 1, 0)
    only = adata[:, ["gene1"]].copy()  # log(1 + 1e4) in every cell with a count
    only = only[only.X.toarray().ravel() > 0].copy()
    sp.tl.rank_genes(only, "group")
    assert (by_gene(only, "1")["scores"] == 0).all()


def drawn(adata, groupby, **options):
    """Which cells were drawn: each has a gene of its own, and genes without a count are not ranked."""
    own = anndata.AnnData(
        sparse.identity(adata.n_obs, dtype=np.float32, format="csr"),
        obs=adata.obs.copy(),
        var=pd.DataFrame(index=[str(i) for i in range(adata.n_obs)]),
    )
    sp.tl.rank_genes(own, groupby, min_total=1e-9, **options)
    names = own.uns["rank_genes_groups"]["names"]
    return np.sort(names[names.dtype.names[0]].astype(int))


def test_at_most_so_many_cells_of_each_group(adata):
    adata.obs["group"] = np.where(np.arange(240) < 30, "small", "large")
    sp.tl.rank_genes(adata, "group", max_cells=40, rng=1)
    cells = drawn(adata, "group", max_cells=40, rng=1)
    assert len(np.unique(cells)) == 70
    assert adata.obs["group"].iloc[cells].value_counts().to_dict() == {"small": 30, "large": 40}
    other = sp.tl.rank_genes(adata[cells], "group", max_cells=None, copy=True)
    pd.testing.assert_frame_equal(by_gene(adata, "small"), by_gene(other, "small"))
    sp.tl.rank_genes(adata, "group", max_cells=40, rng=2)
    assert not by_gene(adata, "small").equals(by_gene(other, "small"))


def test_samples_are_even():
    cells = anndata.AnnData(
        obs=pd.DataFrame({"group": np.repeat(["a", None, "b"], 20)}, index=list(map(str, range(60))))
    )
    samples = [drawn(cells, "group", max_cells=5, rng=seed) for seed in range(400)]
    share = np.bincount(np.concatenate(samples), minlength=60) / 400
    np.testing.assert_allclose(share, np.repeat([0.25, 0, 0.25], 20), atol=0.09)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_cells_and_names_of_groups_do_not_matter(adata, seed):
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    other = adata[order].copy()
    other.obs["group"] = other.obs["group"].cat.rename_categories({"1": "z"}).astype(str)
    sp.tl.rank_genes(adata, "group")
    sp.tl.rank_genes(other, "group")
    a, b = by_gene(adata, "1").sort_index(), by_gene(other, "z").sort_index()
    pd.testing.assert_frame_equal(a, b, rtol=1e-5)


def test_some_groups_against_all_cells(adata):
    sp.tl.rank_genes(adata, "group")
    expected = by_gene(adata, "T cell")
    sp.tl.rank_genes(adata, "group", groups=["T cell"])
    assert adata.uns["rank_genes_groups"]["names"].dtype.names == ("T cell",)
    pd.testing.assert_frame_equal(by_gene(adata, "T cell"), expected)


def test_a_group_of_one_cell(adata):
    group = adata.obs["group"].astype(str)
    group.iloc[0] = "lonely"
    adata.obs["group"] = group
    with pytest.raises(ValueError, match=r"\['lonely'\].*one cell only.*groups="):
        sp.tl.rank_genes(adata, "group")
    sp.tl.rank_genes(adata, "group", groups=["1"])  # it is still among the cells compared with
    assert by_gene(adata, "1").notna().all(axis=None)


def test_one_group_differs_from_all_cells_by_nothing(adata):
    adata.obs["group"] = "all"
    sp.tl.rank_genes(adata, "group")
    np.testing.assert_allclose(by_gene(adata, "all")["scores"], 0, atol=1e-6)


def test_cells_without_a_group_are_left_out(adata):
    known = (adata.obs["group"] != "1").to_numpy()
    expected = sp.tl.rank_genes(adata[known], "group", copy=True)
    adata.obs.loc[~known, "group"] = np.nan
    sp.tl.rank_genes(adata, "group")
    pd.testing.assert_frame_equal(by_gene(adata, "a/b"), by_gene(expected, "a/b"))


def test_layers_files_and_copies(adata, tmp_path):
    copied = sp.tl.rank_genes(adata, "group", copy=True)
    assert "rank_genes_groups" not in adata.uns
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    sp.tl.rank_genes(backed, "group")
    adata.layers["counts"], adata.X = adata.X.toarray(), None
    assert sp.tl.rank_genes(adata, "group", layer="counts") is None
    for other in (backed, adata):
        pd.testing.assert_frame_equal(by_gene(other, "1"), by_gene(copied, "1"))
    backed.file.close()


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"groupby": "leiden"}, KeyError, "'leiden' not found.*cell_type"),
        ({"groups": ["B cell"]}, ValueError, r"\['B cell'\] not found.*T cell"),
        ({"groups": []}, ValueError, "groups is empty"),
        ({"layer": "counts"}, KeyError, "'counts' not found"),
        ({"reference_std_factor": 0}, ValueError, "reference_std_factor must be above 0"),
        ({"max_cells": 1}, ValueError, "max_cells must be at least 2, not 1"),
        ({"n_genes": -1}, ValueError, "n_genes must be at least 1"),
    ],
)
def test_wrong_input(adata, kwargs, error, match):
    with pytest.raises(error, match=match):
        sp.tl.rank_genes(adata, **{"groupby": "group"} | kwargs)
    assert "rank_genes_groups" not in adata.uns


def test_counts_that_were_only_multiplied_are_normalised(adata):
    expected = sp.tl.rank_genes(adata, "group", copy=True)
    adata.X = adata.X * 3
    with pytest.warns(UserWarning, match="counts multiplied by 3"):
        sp.tl.rank_genes(adata, "group")
    np.testing.assert_allclose(by_gene(adata, "1")["scores"], by_gene(expected, "1")["scores"], rtol=1e-5)


def test_counts_that_are_none(adata):
    with pytest.raises(ValueError, match=r"log1p of counts normalised to 10,000"):
        sp.tl.rank_genes(normalized(adata), "group")
    adata.X.data[0] = -1
    with pytest.raises(ValueError, match="negative"):
        sp.tl.rank_genes(adata, "group")
    adata.obs["group"] = np.nan
    with pytest.raises(ValueError, match="no cell has a group"):
        sp.tl.rank_genes(adata, "group")
