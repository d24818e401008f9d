"""Does annotation without a model write what label transfer writes, and say what it cannot do?"""

import anndata
import numpy as np
import pandas as pd
import pytest

import scarches_plus as sp


@pytest.fixture(scope="module")
def parts():
    adata = sp.datasets.simulate(600, 200, 4, n_batches=3, batch_effect=0.3, type_effect=0.5, rng=0)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    reference = adata[~query].copy()
    reference.obs["cell_type"] = reference.obs["cell_type"].astype("category")
    reference.uns["cell_type_colors"] = ["#000001", "#000002", "#000003", "#000004"]
    return reference, adata[query].copy()


@pytest.fixture
def reference(parts):
    return parts[0].copy()


@pytest.fixture
def query(parts):
    return parts[1].copy()


@pytest.fixture(scope="module")
def classifier(parts):
    return sp.tl.expression_classifier(parts[0], "cell_type", batch_key="batch")


def test_cells_are_labelled_from_counts_alone(reference, query):
    truth = query.obs.pop("cell_type").astype(str)
    assert sp.tl.annotate(query, reference, "cell_type", batch_key="batch", probabilities=True) is None
    assert (query.obs["cell_type_pred"].astype(str) == truth).mean() > 0.95
    assert query.obs["cell_type_pred"].cat.categories.tolist() == ["type0", "type1", "type2", "type3", "Unknown"]
    assert query.uns["cell_type_pred_colors"][:4] == ["#000001", "#000002", "#000003", "#000004"]
    shares = query.obsm["cell_type_probabilities"]
    np.testing.assert_allclose(1 - shares.max(axis=1), query.obs["cell_type_uncertainty"], atol=1e-12)
    assert query.uns["scarches_plus"]["probability_labels"]["cell_type"] == ["type0", "type1", "type2", "type3"]
    record = query.uns["scarches_plus"]["transfer"]["cell_type"]
    assert record["labels"] == f"obs['cell_type'] of {reference.n_obs} cells"
    assert (record["genes"], record["genes_inferred"]) == (200, 0)


def test_a_classifier_stands_for_its_cells(reference, query, classifier):
    """The same query, the same genes: the same labels, with or without the cells at hand."""
    cells = sp.tl.annotate(query, reference, "cell_type", batch_key="batch", copy=True)
    plain = sp.tl.annotate(query, classifier, copy=True)
    pd.testing.assert_series_equal(cells.obs["cell_type_uncertainty"], plain.obs["cell_type_uncertainty"])
    assert (cells.obs["cell_type_pred"].astype(str) == plain.obs["cell_type_pred"].astype(str)).all()
    assert "cell_type_pred" not in query.obs
    probabilities = classifier.probabilities(query.X, list(query.var_names))
    np.testing.assert_allclose(1 - probabilities.max(axis=1), plain.obs["cell_type_uncertainty"], atol=1e-12)


def test_genes_that_the_query_lacks_are_not_fitted_or_are_inferred(reference, query, classifier):
    query = query[:, ::2].copy()
    truth = query.obs["cell_type"].astype(str)
    sp.tl.annotate(query, reference, "cell_type", batch_key="batch")
    assert (query.obs["cell_type_pred"].astype(str) == truth).mean() > 0.9
    assert query.uns["scarches_plus"]["transfer"]["cell_type"]["genes_inferred"] == 0
    sp.tl.annotate(query, classifier, key_added="by_panel")
    assert (query.obs["by_panel_pred"].astype(str) == truth).mean() > 0.9
    assert query.uns["scarches_plus"]["transfer"]["by_panel"]["genes_inferred"] == 100


def test_the_uncertain_and_the_novel_are_unknown(query, classifier):
    sp.tl.annotate(query, classifier, unknown_above=None)
    assert "Unknown" not in set(query.obs["cell_type_pred"])
    given = query.obs["cell_type_pred"].astype(str)
    highest = float(query.obs["cell_type_uncertainty"].median())
    query.obs["novel"] = np.arange(query.n_obs) % 2 == 0
    sp.tl.annotate(query, classifier, unknown_above=highest, unknown_category="?", novel_key="novel")
    rejected = (query.obs["cell_type_uncertainty"] > highest) | query.obs["novel"]
    assert (query.obs["cell_type_pred"].astype(str) == given.where(~rejected, "?")).all()


def test_a_hierarchy_gives_the_level_that_is_certain(query, classifier):
    tree = sp.pp.label_tree({"even": ["type0", "type2"], "odd": ["type1", "type3"]})
    sp.tl.annotate(query, classifier, hierarchy=tree, unknown_above=1e-9)
    assert {"type0", "even", "odd"} & set(query.obs["cell_type_pred"].cat.categories) == {"type0", "even", "odd"}
    with pytest.raises(ValueError, match="type3"):
        sp.tl.annotate(query, classifier, hierarchy={"type0": None, "type1": None, "type2": None})


def test_results_can_be_written_and_read(tmp_path, query, classifier):
    query.obs.index = query.obs.index.astype(object)
    sp.tl.annotate(query, classifier, probabilities=True)
    query.write_h5ad(tmp_path / "query.h5ad")
    again = anndata.read_h5ad(tmp_path / "query.h5ad")
    assert (again.obs["cell_type_pred"].astype(str) == query.obs["cell_type_pred"].astype(str)).all()
    sp.tl.annotate(query, classifier)
    assert "cell_type_probabilities" not in query.obsm


def test_layers_are_read(reference, query):
    expected = sp.tl.annotate(query, reference, "cell_type", batch_key="batch", copy=True)
    for cells in (reference, query):
        cells.layers["counts"], cells.X = cells.X, None
    sp.tl.annotate(query, reference, "cell_type", batch_key="batch", layer="counts", reference_layer="counts")
    pd.testing.assert_series_equal(query.obs["cell_type_uncertainty"], expected.obs["cell_type_uncertainty"])
    with pytest.raises(KeyError, match="X"):
        sp.tl.annotate(query, reference, "cell_type", batch_key="batch", reference_layer="counts")


def test_what_cannot_be_is_refused_before_anything_is_written(reference, query, classifier):
    before = query.obs.copy()
    for call, error, says in (
        (lambda: sp.tl.annotate(query, reference), ValueError, "labels_key=..."),
        (lambda: sp.tl.annotate(query, classifier, "cell_type"), ValueError, "leave out labels_key"),
        (lambda: sp.tl.annotate(query, "folder"), TypeError, "transfer_labels"),
        (lambda: sp.tl.annotate(query[:, :20], reference, "cell_type"), ValueError, "share 20 of 200 genes"),
        (lambda: sp.tl.annotate(query[:, :20], classifier), ValueError, "share 20 of 200 genes"),
        (lambda: sp.tl.annotate(query, classifier, novel_key="nothing"), KeyError, "nothing"),
        (lambda: sp.tl.annotate(query, classifier, unknown_category="type0"), ValueError, "'type0' is a label"),
        (lambda: sp.tl.annotate(query, classifier, key_added="a/b"), ValueError, "key_added"),
    ):
        with pytest.raises(error, match=says):
            call()
    query.X.data[0] = np.nan
    with pytest.raises(ValueError, match="cannot be used as they are"):
        sp.tl.annotate(query, classifier)
    pd.testing.assert_frame_equal(query.obs, before)
