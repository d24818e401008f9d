import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scvi
from scipy import sparse
from small_models import NETWORK

import scarches_plus as sp

MARKERS = {"a": {"positive": ["g1", "g2"], "negative": ["g3"]}, "b": ["g4"]}


def cells(n_cells=200, n_genes=12, rng=0):
    counts = np.random.default_rng(rng).poisson(200.0, (n_cells, n_genes)).astype(np.float32)
    adata = anndata.AnnData(sparse.csr_matrix(counts))
    adata.var_names = pd.Index([f"g{i}" for i in range(n_genes)])
    return adata


# --- scores ---


def test_scores_are_those_of_the_paper():
    adata = cells()
    sp.pp.seed_labels(adata, MARKERS, 20, scores=True)

    expected = adata.copy()
    expected.X = expected.X.astype(np.float64)
    sc.pp.normalize_total(expected, target_sum=1e4)
    sc.pp.log1p(expected)
    z = expected.to_df()
    z = (z - z.mean()) / z.std(ddof=0)
    scores = np.column_stack([(z["g1"] + z["g2"] - z["g3"]) / 3, z["g4"]])
    np.testing.assert_allclose(adata.obsm["seed_label_scores"], scores, atol=1e-5)
    for label, column in zip("ab", scores.T, strict=True):
        top = set(adata.obs_names[np.argsort(-column)[:20]])
        seeds = set(adata.obs_names[adata.obs["seed_label"] == label])
        assert len(seeds) == 20
        assert len(seeds & top) >= 18  # but for cells that the other label has a better claim on


# --- the AnnData ---


@pytest.mark.parametrize("store", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_matrix.toarray])
def test_storage_does_not_matter(store):
    adata, expected = cells(), cells()
    adata.layers["counts"] = store(adata.X)
    adata.X = None
    sp.pp.seed_labels(adata, MARKERS, 20, layer="counts")
    sp.pp.seed_labels(expected, MARKERS, 20)
    pd.testing.assert_series_equal(adata.obs["seed_label"], expected.obs["seed_label"])


def test_cells_on_disk(tmp_path):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    backed, expected = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r"), cells()
    sp.pp.seed_labels(backed, MARKERS, 20)
    sp.pp.seed_labels(expected, MARKERS, 20)
    assert backed.obs["seed_label"].tolist() == expected.obs["seed_label"].tolist()
    backed.file.close()


def test_what_is_written(tmp_path):
    adata = cells()
    result = sp.pp.seed_labels(adata, MARKERS, 10, key_added="seeds", unlabeled_category="none", scores=True, copy=True)
    assert list(adata.obs) == []
    assert list(adata.obsm) == []
    assert list(result.obs["seeds"].cat.categories) == ["a", "b", "none"]
    assert result.obs["seeds"].value_counts().to_dict() == {"none": 180, "a": 10, "b": 10}
    result.write_h5ad(tmp_path / "seeds.h5ad")
    assert anndata.read_h5ad(tmp_path / "seeds.h5ad").obsm["seeds_scores"].shape == (200, 2)


def test_labels_of_numbers_are_text(tmp_path):
    adata, expected = cells(), cells()
    sp.pp.seed_labels(adata, {0: ["g1"], 1: ["g4"]}, 10)
    sp.pp.seed_labels(expected, {"0": ["g1"], "1": ["g4"]}, 10)
    pd.testing.assert_series_equal(adata.obs["seed_label"], expected.obs["seed_label"])
    adata.write_h5ad(tmp_path / "seeds.h5ad")


def test_normalised_counts_are_told_once(monkeypatch, limits):
    limits(in_memory=600)  # four blocks
    adata = cells()
    adata.X = adata.X.log1p()
    with pytest.raises(ValueError, match="log-normalised"):
        sp.pp.seed_labels(adata, MARKERS, 10)
    adata = cells()
    adata.X = adata.X * np.float32(0.3)
    with pytest.warns(UserWarning, match="not whole numbers") as caught:
        sp.pp.seed_labels(adata, MARKERS, 10)
    assert [warning.filename for warning in caught] == [__file__]


def test_absent_markers_are_named():
    with pytest.warns(UserWarning, match=r"left out: \{'b': \['FOXP3'\]\}"):
        sp.pp.seed_labels(cells(), {"a": ["g1"], "b": ["g2", "FOXP3"]}, 10)
    with pytest.raises(ValueError, match=r"marker of \['b'\]; markers not found: \{'b': \['FOXP3', 'IL2RA'\]\}"):
        sp.pp.seed_labels(cells(), {"a": ["g1"], "b": ["FOXP3", "IL2RA"]}, 10)


def test_labels_without_evidence_are_named():
    adata = cells()
    counts = adata.X.toarray()
    counts[:, 5], counts[:, 6] = 0, 0
    counts[:3, 6] = 1
    adata.X = sparse.csr_matrix(counts)
    with pytest.raises(ValueError, match=r"stands out as \['b'\]"):
        sp.pp.seed_labels(adata, {"a": ["g1"], "b": ["g5"]}, 10)
    with pytest.warns(UserWarning, match=r"fewer seeds than n_seeds=10.*\{'b': 3\}"):
        sp.pp.seed_labels(adata, {"a": ["g1"], "b": ["g6"]}, 10)
    assert (adata.obs["seed_label"] == "b").sum() == 3


@pytest.mark.parametrize(
    ("markers", "options", "error", "message"),
    [
        ({}, {}, ValueError, "markers is empty"),
        ({"a": []}, {}, ValueError, r"marker of \['a'\]"),
        ({"a": "g1"}, {}, TypeError, "not the text 'g1'"),
        ({"a": {"up": ["g1"]}}, {}, ValueError, r"not \['up'\]"),
        ({"a": {"positive": ["g1"], "negative": ["g1"]}}, {}, ValueError, "both for and against 'a'"),
        ({"a": ["g1"], "Unknown": ["g2"]}, {}, ValueError, "unlabeled_category"),
        ({1: ["g1"], 2: ["g2"]}, {"unlabeled_category": "1"}, ValueError, "unlabeled_category"),
        ({1: ["g1"], "1": ["g2"]}, {}, ValueError, r"\[1, '1'\] of the markers read the same"),
        ({"a": ["g1"]}, {"n_seeds": 0}, ValueError, "n_seeds must be at least 1"),
        ({"a": ["g1"]}, {"layer": "counts"}, KeyError, "counts"),
    ],
)
def test_what_makes_no_sense_is_refused(markers, options, error, message):
    with pytest.raises(error, match=message):
        sp.pp.seed_labels(cells(), markers, **options)


def test_an_ambiguous_gene_and_counts_below_zero_are_refused():
    adata = cells()
    adata.var_names = pd.Index(["g1", "g1", *adata.var_names[2:]])
    with pytest.raises(ValueError, match=r"\['g1'\] are each the name of several"):
        sp.pp.seed_labels(adata, MARKERS, 10)
    adata = cells()
    adata.X = adata.X - sparse.csr_matrix(np.eye(*adata.shape, dtype=np.float32) * 999)
    with pytest.raises(ValueError, match="negative"):
        sp.pp.seed_labels(adata, MARKERS, 10)


def test_scanvi_learns_from_seeds():
    adata = sp.datasets.simulate(240, 40, 2, type_effect=1.0, batch_effect=0.0, rng=1)
    difference = adata.varm["log_programs"]["type0"] - adata.varm["log_programs"]["type1"]
    markers = {"type0": list(difference.nlargest(2).index), "type1": list(difference.nsmallest(2).index)}
    sp.pp.seed_labels(adata, markers, 20)
    scvi.settings.seed = 0
    quiet = {"enable_progress_bar": False}
    model = sp.tl.build_reference(
        adata, "batch", "seed_label", recipe="scanvi", max_epochs=40, model_kwargs=NETWORK, train_kwargs=quiet
    )
    predicted = model.predict()
    assert set(predicted) == {"type0", "type1"}
    assert (predicted == adata.obs["cell_type"].to_numpy()).mean() > 0.9
