"""A classifier in a bundle labels as the one at home."""

import dataclasses

import numpy as np
import pytest
from small_models import SCVI, reference

import scarches_plus as sp


@pytest.fixture(scope="module")
def home():
    cells = sp.datasets.simulate(700, 200, 5, n_batches=4, batch_effect=0.3, rng=1)
    of_query = (cells.obs["batch"] == "batch3").to_numpy()
    known, query = cells[~of_query].copy(), cells[of_query].copy()
    model = reference(SCVI, known.copy())
    sp.train.summarize_reference(model, "cell_type")
    sp.tl.embed(known, model)
    return known, query, sp.tl.expression_classifier(known, "cell_type", batch_key="batch", use_rep="X_scarches"), model


@pytest.fixture
def folder(home, tmp_path):
    return sp.hub.save_bundle(home[3], tmp_path / "bundle", classifier=home[2])


def test_it_comes_back_and_gives_the_same_labels(home, folder):
    _, query, classifier, _ = home
    again = sp.hub.load_classifier(folder)
    assert type(again) is sp.tl.ExpressionClassifier
    for name, value in vars(classifier).items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
    there, here = (sp.tl.annotate(query, one, copy=True) for one in (again, classifier))
    assert there.obs["cell_type_uncertainty"].equals(here.obs["cell_type_uncertainty"])
    assert (there.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.95
    assert (folder / "classifier.safetensors").stat().st_size < 500_000
    sp.hub.verify_bundle(folder)
    assert "load_classifier" in (folder / "README.md").read_text()


def test_a_site_with_the_bundle_only(home, folder):
    """Consensus of the summary and the classifier, without any cell of the reference."""
    query = home[1].copy()
    mapped = sp.tl.map_query(
        query, sp.hub.load_bundle(folder), max_epochs=1, train_kwargs={"enable_progress_bar": False}
    )
    sp.tl.transfer_labels(query, mapped, "cell_type", classifier=sp.hub.load_classifier(folder))
    assert (query.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.9


def test_refusals(home, tmp_path):
    known, _, classifier, model = home
    few = dataclasses.replace(classifier, n_cells=np.array([19, 20, 20, 20, 20]))
    with pytest.raises(
        ValueError, match=r"\['type0'\] have fewer than 20 cells.*expression_classifier\(..., min_cells=20\)"
    ):
        sp.hub.save_bundle(model, tmp_path / "a", summary=False, classifier=few)
    with pytest.raises(TypeError, match="expression_classifier"):
        sp.hub.save_bundle(model, tmp_path / "a", summary=False, classifier={})
    assert not (tmp_path / "a").exists()
    with pytest.raises(sp.hub.BundleError, match="no classifier"):
        sp.hub.load_classifier(sp.hub.save_bundle(model, tmp_path / "bare", summary=False))
    rare = known.copy()
    names = rare.obs["cell_type"].astype(str)
    names.iloc[np.flatnonzero(names == "type0")[19:]] = "type1"
    rare.obs["cell_type"] = names
    enough = sp.tl.expression_classifier(rare, "cell_type", batch_key="batch", min_cells=20)
    assert enough.labels == ("type1", "type2", "type3", "type4")
    sp.hub.save_bundle(model, tmp_path / "enough", summary=False, classifier=enough)
