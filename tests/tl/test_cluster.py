"""Clusters on AnnData."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import scarches_plus as sp


def blobs(sizes=(36, 33, 30), seed=0, distance=12.0):
    truth = np.repeat(np.arange(len(sizes)), sizes)
    z = distance * np.eye(len(sizes))[truth] + np.random.default_rng(seed).normal(size=(len(truth), len(sizes)))
    obs = pd.DataFrame({"truth": truth.astype(str)}, index=[f"c{i}" for i in range(len(truth))])
    return AnnData(obs=obs, obsm={"X_scarches": z.astype(np.float32)})


def record(adata, key="cluster"):
    return adata.uns["scarches_plus"]["clusters"][key]


@pytest.fixture
def adata():
    return blobs()


@pytest.mark.parametrize("kwargs", [{"k": 29}, {"method": "kmeans", "n_clusters": 3}])
def test_finds_the_truth_ordered_by_size(adata, kwargs):
    order = np.random.default_rng(3).permutation(adata.n_obs)
    adata = adata[order].copy()
    assert sp.tl.cluster(adata, **kwargs) is None
    assert list(adata.obs["cluster"].cat.categories) == ["0", "1", "2"]
    assert (adata.obs["cluster"].astype(str) == adata.obs["truth"]).all()  # the truth is named by size as well


def test_record(adata, tmp_path):
    sp.tl.cluster(adata, k=29, rng=4, max_sweeps=50)
    assert record(adata)["versions"]["scarches-plus"]
    expected = {"method": "label_propagation", "use_rep": "X_scarches", "k": 29, "n_clusters": 3, "seed": 4}
    expected |= {"converged": True, "max_sweeps": 50}
    assert {key: record(adata)[key] for key in expected} == expected
    assert 1 < record(adata)["sweeps"] < 50
    adata.write_h5ad(tmp_path / "a.h5ad")
    read = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert (read.obs["cluster"] == adata.obs["cluster"]).all()
    sp.tl.cluster(read, method="kmeans", key_added="kmeans")
    assert record(read, "kmeans")["n_clusters"] == 3


def test_the_record_names_the_latent_space(adata):
    adata.uns["scarches_plus"] = {"embeddings": {"X_scarches": {"space": "abc"}}}
    sp.tl.cluster(adata, k=29)
    assert record(adata)["space"] == "abc"
    assert adata.uns["scarches_plus"]["embeddings"] == {"X_scarches": {"space": "abc"}}


def test_copy(adata):
    copied = sp.tl.cluster(adata, k=29, copy=True)
    assert "cluster" in copied.obs
    assert "cluster" not in adata.obs
    assert "scarches_plus" not in adata.uns


def test_a_seed_repeats_and_colours_of_other_clusters_go(adata):
    adata = blobs(distance=1.0)
    adata.uns["cluster_colors"] = ["#ffffff"]
    sp.tl.cluster(adata, k=8, rng=1)
    assert "cluster_colors" not in adata.uns
    first = adata.obs["cluster"].copy()
    sp.tl.cluster(adata, k=8, rng=1)
    assert (first == adata.obs["cluster"]).all()
    sp.tl.cluster(adata, k=8, rng=np.random.default_rng(1))
    assert (first == adata.obs["cluster"]).all()
    assert "seed" not in record(adata)


def test_kmeans_is_scikit_learn_s(adata):
    adata = blobs(distance=2.0)
    sp.tl.cluster(adata, method="kmeans", n_clusters=3)
    theirs = KMeans(3, n_init=20, random_state=0).fit_predict(adata.obsm["X_scarches"])
    assert adjusted_rand_score(theirs, adata.obs["cluster"]) > 0.9


def test_kmeans_takes_as_many_clusters_as_label_propagation_found(adata):
    with pytest.raises(ValueError, match=r"needs n_clusters.*not clustered obsm\['X_scarches'\]"):
        sp.tl.cluster(adata, method="kmeans")
    sp.tl.cluster(adata, k=29)
    sp.tl.cluster(adata, method="kmeans", key_added="kmeans")
    assert len(adata.obs["kmeans"].cat.categories) == 3
    adata.obsm["other"] = adata.obsm["X_scarches"]
    with pytest.raises(ValueError, match=r"needs n_clusters.*'other'"):
        sp.tl.cluster(adata, method="kmeans", use_rep="other")
    record(adata)["n_clusters"] = 2
    sp.tl.cluster(adata, k=29, key_added="again")
    with pytest.raises(ValueError, match=r"found \{'cluster': 2, 'again': 3\}"):
        sp.tl.cluster(adata, method="kmeans")


@pytest.mark.parametrize("kwargs", [{"k": 5}, {"method": "kmeans", "n_clusters": 9}])
def test_stopped_early_it_warns_and_names_the_fix(kwargs):
    adata = blobs((300,))
    with pytest.warns(UserWarning, match="did not converge in 1 sweeps.*raise max_sweeps"):
        sp.tl.cluster(adata, max_sweeps=1, **kwargs)
    assert record(adata)["converged"] is False
    assert adata.obs["cluster"].notna().all()


def test_fewer_cells_than_neighbours():
    adata = blobs((20, 10))
    sp.tl.cluster(adata, k=50)
    assert record(adata)["k"] == 29
    assert list(adata.obs["cluster"].cat.categories) == ["0"]  # each joined to each


def test_one_cell():
    adata = blobs((1,))
    sp.tl.cluster(adata)
    assert list(adata.obs["cluster"]) == ["0"]


def test_duplicates_and_islands():
    """Piles of equal cells, each larger than k: neighbours at distance 0, and no way between piles."""
    adata = blobs((12, 12, 12))
    adata.obsm["X_scarches"] = 5.0 * np.eye(3)[adata.obs["truth"].astype(int)]
    sp.tl.cluster(adata, k=11)
    assert adjusted_rand_score(adata.obs["truth"], adata.obs["cluster"]) == 1


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"use_rep": "X_pca"}, KeyError, "'X_pca' not found.*X_scarches.*sp.tl.embed"),
        ({"method": "leiden"}, ValueError, "method must be one of.*'leiden'"),
        ({"n_clusters": 3}, ValueError, "method='kmeans'"),
        ({"max_sweeps": 0}, ValueError, "max_sweeps must be at least 1"),
        ({"k": 0}, ValueError, "k must be at least 1, not 0"),
        ({"method": "kmeans", "n_clusters": 0}, ValueError, "n_clusters must be at least 1, not 0"),
        ({"method": "kmeans", "n_clusters": 100}, ValueError, "not 100"),
    ],
)
def test_wrong_input(adata, kwargs, error, match):
    with pytest.raises(error, match=match):
        sp.tl.cluster(adata, **kwargs)
    assert "cluster" not in adata.obs


@pytest.mark.parametrize("kwargs", [{}, {"method": "kmeans", "n_clusters": 3}])
def test_a_sparse_embedding_is_named(adata, kwargs):
    adata.obsm["sparse"] = csr_matrix(adata.obsm["X_scarches"])
    with pytest.raises(ValueError, match=r"adata.obsm\['sparse'\] is sparse"):
        sp.tl.cluster(adata, use_rep="sparse", **kwargs)


def test_cells_without_coordinates_are_named(adata):
    adata.obsm["X_scarches"][3] = np.nan
    for kwargs in ({}, {"method": "kmeans", "n_clusters": 2}):
        with pytest.raises(ValueError, match="NaN"):
            sp.tl.cluster(adata, **kwargs)
