"""Selecting genes, against scanpy's own choice over batches and against what studies were made of."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

import scarches_plus as sp


def studies(n_cells=300, n_genes=200, n_batches=3, rng=0):
    adata = sp.datasets.simulate(n_cells, n_genes, 3, n_batches=n_batches, mean_depth=1500.0, rng=rng)
    adata.layers["counts"] = adata.X.copy()
    return adata


def by_scanpy(adata, n, flavor):
    return sc.pp.highly_variable_genes(adata, flavor=flavor, n_top_genes=n, batch_key="batch", inplace=False)


# --- scanpy's choice ---


@pytest.mark.parametrize(("join", "flavor"), [("rank", "seurat_v3"), ("studies", "seurat_v3_paper")])
def test_genes_are_those_that_scanpy_takes_over_batches(join, flavor):
    adata = studies()
    selection = sp.pp.select_genes(adata, "batch", 60, join=join)
    expected = by_scanpy(adata, 60, flavor)
    # scanpy 1.12 rounds variances of batches otherwise than those of one: a few neighbours change places
    assert (adata.var["highly_variable"] == expected["highly_variable"]).sum() >= 198
    assert (adata.var["highly_variable_nbatches"] == expected["highly_variable_nbatches"]).sum() >= 195
    difference = (adata.var["highly_variable_rank"] - expected["highly_variable_rank"]).abs()
    assert difference.notna().sum() > 100
    assert difference.max() <= 2
    assert set(selection.genes) == set(adata.var_names[adata.var["highly_variable"]])


@pytest.mark.parametrize("flavor", ["seurat", "cell_ranger"])
def test_the_union_holds_the_first_genes_of_every_study(flavor):
    """What the scANVI paper did: the genes of highest dispersion of each data set."""
    adata = studies()
    selection = sp.pp.select_genes(adata, "batch", 30, join="union", flavor=flavor)
    expected = set()
    for batch in adata.obs["batch"].unique():
        study = adata[adata.obs["batch"] == batch].copy()
        sc.pp.normalize_total(study, target_sum=1e4)
        sc.pp.log1p(study)
        sc.pp.highly_variable_genes(study, flavor=flavor, n_top_genes=30)
        expected |= set(study.var_names[study.var["highly_variable"]])
    assert set(selection.genes) == expected
    assert len(expected) > 30
    assert selection.ranks.notna().sum().tolist() == [30, 30, 30]


def test_genes_that_differ_between_studies_alone_are_not_taken():
    rng = np.random.default_rng(0)
    means = np.tile(rng.gamma(2.0, 3.0, 200), (600, 1))
    means[:, :10] *= rng.gamma(0.5, 2.0, (600, 10))  # vary between cells
    batches = np.repeat(["one", "two"], 300)
    means[batches == "two", 10:20] *= 10  # vary between studies only
    adata = anndata.AnnData(
        rng.poisson(means).astype(np.float32), pd.DataFrame({"batch": batches}, map(str, range(600)))
    )
    variable, shifted = set(adata.var_names[:10]), set(adata.var_names[10:20])
    assert set(sp.pp.select_genes(adata, "batch", 10).genes) == variable
    whole = sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=20, inplace=False)
    assert len(shifted & set(adata.var_names[whole["highly_variable"].to_numpy()])) >= 8


# --- what was asked for ---


def test_protected_genes_are_kept_and_said():
    adata = studies()
    plain = sp.pp.select_genes(adata, "batch", 20)
    last = [gene for gene in adata.var_names if gene not in plain.genes][:2]
    selection = sp.pp.select_genes(adata, "batch", 20, protect=[*last, plain.genes[0]])
    assert set(selection.genes) == {*plain.genes, *last}
    assert selection.table["why"].value_counts().to_dict() == {"": 178, "variable": 20, "protected": 2}
    assert "2 of them are kept because they are protected" in str(selection)


def test_nothing_is_written_unless_asked():
    adata = studies()
    before = adata.copy()
    sp.pp.select_genes(adata, "batch", 20, inplace=False)
    pd.testing.assert_frame_equal(adata.var, before.var)
    sp.pp.select_genes(adata, "batch", 20, flavor="seurat")
    assert (adata.X != before.X).nnz == 0


def test_order_of_cells_storage_and_layer_do_not_matter(tmp_path):
    adata = studies()
    expected = sp.pp.select_genes(adata, "batch", 50).genes
    shuffled = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    assert sp.pp.select_genes(shuffled, "batch", 50).genes == expected
    shuffled.X = None
    assert sp.pp.select_genes(shuffled, "batch", 50, layer="counts").genes == expected
    adata.write_h5ad(tmp_path / "cells.h5ad")
    on_disk = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    assert sp.pp.select_genes(on_disk, "batch", 50, inplace=False).genes == expected


# --- studies that measured different genes, and small ones ---


def test_a_gene_is_ranked_by_the_studies_that_measured_it():
    adata = studies(600, 200, 2)
    batches = adata.obs["batch"].to_numpy()
    first, second = adata[batches == "batch0"], adata[batches == "batch1", 100:]
    joined = sp.pp.concat_studies({"first": first, "second": second})
    selection = sp.pp.select_genes(joined, "study", 80)
    ranked = selection.ranks
    assert ranked.loc[adata.var_names[:100], "second"].isna().all()
    alone = sc.pp.highly_variable_genes(anndata.AnnData(second.X), flavor="seurat_v3", n_top_genes=80, inplace=False)[
        "highly_variable_rank"
    ]
    np.testing.assert_allclose(ranked.loc[adata.var_names[100:], "second"], alone)
    assert (selection.table["n_measured"] == [1] * 100 + [2] * 100).all()
    assert "were not measured by every study" in str(selection)
    everywhere = sp.pp.select_genes(joined, "study", 60, min_studies=2)
    assert set(everywhere.genes) <= set(adata.var_names[100:])
    with pytest.warns(UserWarning, match="gene0"):
        sp.pp.select_genes(joined, "study", 60, protect=["gene0"])


def test_small_studies_rank_no_genes():
    adata = studies(400, 200, 2)
    few = adata[np.flatnonzero(adata.obs["batch"] == "batch1")[:20].tolist()].copy()
    few.obs["batch"] = "few"
    few.obs_names = [f"few{i}" for i in range(few.n_obs)]
    joined = anndata.concat([adata, few])
    with pytest.warns(UserWarning, match="'few': 20"):
        selection = sp.pp.select_genes(joined, "batch", 40)
    assert selection.genes == sp.pp.select_genes(adata, "batch", 40).genes
    assert "study 'few' ranked no genes: it has 20 cells" in str(selection)
    with pytest.raises(ValueError, match="no study has min_cells=1000 cells, the largest 200"):
        sp.pp.select_genes(adata, "batch", 40, min_cells=1000)


def test_a_small_study_of_shallow_cells_is_fitted():
    """Many genes then have the same mean, where scanpy's own fit fails."""
    adata = sp.datasets.simulate(100, 1000, 3, n_batches=1, mean_depth=60.0, rng=0)
    adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
    with pytest.raises(ValueError, match=r"svddc|singularit|condition"):
        sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=100, inplace=False)
    selection = sp.pp.select_genes(adata, "batch", 100)
    means, variances = adata.X.toarray().mean(axis=0), adata.X.toarray().var(axis=0)
    excess = pd.Series(variances / (means + 1e-9), adata.var_names)
    assert excess[list(selection.genes)].mean() > 1.3 * excess[excess > 0].mean()


@pytest.mark.parametrize("n_genes", [3, 30])
def test_a_study_that_cannot_be_fitted_is_named_with_fixes_that_work(n_genes):
    """Three genes end the process in scikit-misc 0.5.3; thirty of one mean are an error there."""
    adata = studies(400, 200, 2)
    counts = adata.X.toarray()
    second = (adata.obs["batch"] == "batch1").to_numpy()
    counts[second] = 0
    values = np.random.default_rng(0).poisson(2, second.sum()) + 1
    counts[second, :n_genes] = np.stack([np.roll(values, i) for i in range(n_genes)], axis=1)
    adata.X = sparse.csr_matrix(counts)
    with pytest.raises(ValueError, match=r"'batch1'.*flavor='seurat'.*min_cells=201"):
        sp.pp.select_genes(adata, "batch", 40)
    assert len(sp.pp.select_genes(adata, "batch", 40, flavor="seurat").genes) == 40
    adata = anndata.concat([adata, studies(600, 200, 1)], index_unique="-")
    with pytest.warns(UserWarning, match="rank no genes"):
        assert len(sp.pp.select_genes(adata, "batch", 40, min_cells=201).genes) == 40


# --- what is refused ---


def test_what_is_not_there_is_named():
    adata = studies()
    with pytest.raises(KeyError, match=r"protect names genes.*'INS'"):
        sp.pp.select_genes(adata, "batch", 20, protect=["INS"])
    with pytest.raises(KeyError, match="nothing"):
        sp.pp.select_genes(adata, "nothing", 20)
    with pytest.raises(ValueError, match="n must be at least 1 and at most 200"):
        sp.pp.select_genes(adata, "batch")
    with pytest.raises(ValueError, match="min_studies must be at most 3"):
        sp.pp.select_genes(adata, "batch", 20, min_studies=4)
    adata.obs["gaps"] = np.where(np.arange(adata.n_obs) == 0, None, adata.obs["batch"].astype(object))
    with pytest.raises(ValueError, match=r"1 cells have no value in obs\['gaps'\]"):
        sp.pp.select_genes(adata, "gaps", 20)
    adata.X = np.log1p(adata.X)
    with pytest.raises(sp.pp.QueryError):
        sp.pp.select_genes(adata, "batch", 20)


def test_genes_that_do_not_vary_do_not_fill_up():
    adata = studies()
    counts = adata.X.toarray()
    counts[:, 150:] = 0
    adata.X = counts
    with pytest.raises(ValueError, match=r"only \d+ genes vary within a study, fewer than n=200; pass n=150 or less"):
        sp.pp.select_genes(adata, "batch", 200)
    assert len(sp.pp.select_genes(adata, "batch", 150).genes) == 150
