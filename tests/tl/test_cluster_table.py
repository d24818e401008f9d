"""Composition of clusters on AnnData."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import scarches_plus as sp

GENES = ["MT-CO1", "mt-Nd1", "RPS3", "Rpl4", "CD3E", "MTOR"]


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    n = 300
    obs = pd.DataFrame(
        {
            "cluster": pd.Categorical(rng.choice(["a", "b", "c"], n, p=[0.5, 0.4, 0.1]), categories=["c", "b", "a"]),
            "batch": rng.choice(["x", "y", "z"], n, p=[0.7, 0.2, 0.1]),
            "tissue": pd.Series(rng.choice(["lung", "gut"], n)).where(rng.random(n) < 0.9).to_numpy(),
        },
        index=[f"c{i}" for i in range(n)],
    )
    counts = sparse.csr_matrix(rng.poisson(2.0, (n, len(GENES))))
    return AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES))


def test_equals_a_loop(adata):
    table = sp.tl.cluster_table(adata, "cluster", ["batch", "tissue"], min_cells=5, gene_shares=True)
    assert list(table.index) == ["c", "b", "a"]
    X = adata.X.toarray()
    shares = X / X.sum(axis=1, keepdims=True)
    overall = shares[:, :2].sum(axis=1).mean()
    for name, row in table.iterrows():
        cells = (adata.obs["cluster"] == name).to_numpy()
        assert row["n_cells"] == cells.sum()
        for key in ("batch", "tissue"):
            counts = adata.obs[key][cells].value_counts()
            assert row[f"n_{key}"] == (counts >= 5).sum()
            assert counts[row[f"top_{key}"]] == counts.max()
            assert row[f"share_{key}"] == pytest.approx(counts.max() / counts.sum())
        share = shares[cells][:, :2].sum(axis=1).mean()
        assert row["mitochondrial_share"] == pytest.approx(share)
        assert row["mitochondrial_enrichment"] == pytest.approx(share / overall)
        assert row["ribosomal_share"] == pytest.approx(shares[cells][:, 2:4].sum(axis=1).mean())
    assert table["kept"].all()


@pytest.mark.parametrize("min_cells", [1, 4, 1000])
def test_clusters_of_several_batches(adata, min_cells):
    table = sp.tl.cluster_table(adata, min_cells=min_cells, min_values={"batch": 3, "tissue": 2})
    counts = pd.crosstab(adata.obs["cluster"], adata.obs["batch"]) >= min_cells
    assert (table["n_batch"] == counts.sum(axis=1).loc[table.index]).all()
    assert (table["kept"] == (table["n_batch"] >= 3) & (table["n_tissue"] >= 2)).all()
    assert table["kept"].any() == (min_cells < 1000)


def test_clusters_of_dying_cells(adata):
    X = adata.X.toarray()
    X[(adata.obs["cluster"] == "c").to_numpy(), 0] += 50
    adata.layers["counts"], adata.X = sparse.csr_matrix(X), None
    table = sp.tl.cluster_table(adata, max_enrichment=1.5, layer="counts")
    assert table["kept"].to_dict() == {"c": False, "b": True, "a": True}
    assert sp.tl.cluster_table(adata, max_enrichment=100.0, layer="counts")["kept"].all()


def test_dense_counts_and_cells_without_any(adata):
    X = adata.X.toarray()
    X[:5] = 0
    adata.X = sparse.csr_matrix(X)
    expected = sp.tl.cluster_table(adata, gene_shares=True)
    assert expected["mitochondrial_share"].between(0.01, 0.99).all()
    adata.X = X
    pd.testing.assert_frame_equal(sp.tl.cluster_table(adata, gene_shares=True), expected)


def test_a_kind_without_counts_filters_nothing(adata):
    table = sp.tl.cluster_table(adata[:, ["MT-CO1", "CD3E"]], max_enrichment=5.0)
    assert (table["ribosomal_share"] == 0).all()
    assert table["ribosomal_enrichment"].isna().all()
    assert table["kept"].all()


def test_cells_without_a_cluster_and_clusters_without_a_value(adata):
    adata.obs.loc[adata.obs["cluster"] == "c", "cluster"] = np.nan
    adata.obs["empty"] = pd.Series("v", index=adata.obs_names).where(adata.obs["cluster"] == "a")
    table = sp.tl.cluster_table(adata, columns="empty")
    assert list(table.index) == ["b", "a"]
    assert list(table["n_empty"]) == [0, 1]
    assert table["top_empty"].isna().tolist() == [True, False]
    assert table["top_empty"].iloc[1] == "v"
    assert np.isnan(table.loc["b", "share_empty"])
    assert table.loc["a", "share_empty"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_cells_does_not_matter(adata, seed):
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    kwargs = {"columns": ["batch"], "gene_shares": True}
    expected = sp.tl.cluster_table(adata, **kwargs)
    pd.testing.assert_frame_equal(sp.tl.cluster_table(adata[order], **kwargs), expected)


def test_wrong_input(adata):
    with pytest.raises(KeyError, match=r"\['nothing'\] not found.*batch"):
        sp.tl.cluster_table(adata, "cluster", "nothing")
    with pytest.raises(KeyError, match="'leiden'"):
        sp.tl.cluster_table(adata, "leiden")
    with pytest.raises(ValueError, match=r"symbols.*map_gene_ids"):
        sp.tl.cluster_table(adata[:, ["CD3E", "MTOR"]], gene_shares=True)
    adata.obs["cluster"] = np.nan
    with pytest.raises(ValueError, match="no cell has a cluster"):
        sp.tl.cluster_table(adata)
