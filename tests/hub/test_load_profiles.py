"""Profiles in a bundle find what those at home find."""

import dataclasses

import numpy as np
import pytest
import torch
from hostile_bundles import sign
from safetensors.torch import load, save
from small_models import SCVI, reference

import scarches_plus as sp


@pytest.fixture(scope="module")
def home():
    cells = sp.datasets.simulate(700, 200, 5, n_batches=4, batch_effect=0.3, rng=1)
    of_query = (cells.obs["batch"] == "batch3").to_numpy()
    known = cells[~of_query & (cells.obs["cell_type"] != "type4").to_numpy()].copy()
    return (
        known,
        cells[of_query].copy(),
        sp.tl.label_profiles(known, "cell_type", "batch"),
        reference(SCVI, known.copy()),
    )


@pytest.fixture
def folder(home, tmp_path):
    _, _, profiles, model = home
    return sp.hub.save_bundle(model, tmp_path / "bundle", labels_key="cell_type", profiles=profiles)


def test_they_come_back_and_find_the_same_cells(home, folder):
    _, query, profiles, _ = home
    again = sp.hub.load_profiles(folder)
    assert type(again) is sp.tl.LabelProfiles
    for name, value in vars(profiles).items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
    there, here = query.copy(), query.copy()
    sp.tl.detect_novel(there, again)
    sp.tl.detect_novel(here, profiles)
    assert there.obs["novel_score"].equals(here.obs["novel_score"])
    unseen = (query.obs["cell_type"] == "type4").to_numpy()
    assert there.obs["novel"][unseen].mean() > 0.9 > 0.3 > there.obs["novel"][~unseen].mean()
    sp.hub.verify_bundle(folder)
    assert "load_profiles" in (folder / "README.md").read_text()


def test_a_site_with_the_bundle_only(home, folder):
    """Labels, their calibration and novelty, and the bundle of the next site."""
    query = home[1].copy()
    model = sp.hub.load_bundle(folder)
    assert model.state.summaries["cell_type"].temperature >= 1
    mapped = sp.tl.map_query(query, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    sp.tl.detect_novel(query, sp.hub.load_profiles(folder))
    sp.tl.transfer_labels(query, mapped, "cell_type", novel_key="novel", probabilities=True)
    summary = mapped.state.summaries["cell_type"]
    assert summary.temperature == model.state.summaries["cell_type"].temperature
    np.testing.assert_array_equal(
        query.obsm["cell_type_probabilities"], summary.probabilities(query.obsm["X_scarches"])
    )
    assert (query.obs["cell_type_pred"][query.obs["novel"]] == "Unknown").all()
    following = sp.hub.save_bundle(mapped, folder.parent / "next", profiles=sp.hub.load_profiles(folder))
    assert sp.hub.load_profiles(following).genes == home[2].genes


def test_profiles_of_the_earlier_form_are_refused_with_the_fix(folder):
    path = folder / "profiles.safetensors"
    path.write_bytes(save(load(path.read_bytes()) | {"losses": torch.zeros(1)}))
    sign(folder)
    with pytest.raises(sp.hub.BundleError, match=r"earlier form.*profiles=sp\.tl\.label_profiles"):
        sp.hub.load_profiles(folder)


def test_genes_need_not_be_those_of_the_model(home, tmp_path):
    known, _, _, model = home
    fewer = sp.tl.label_profiles(known[:, ::-2].copy(), "cell_type", "batch")
    folder = sp.hub.save_bundle(model, tmp_path / "bundle", summary=False, profiles=fewer)
    assert sp.hub.load_profiles(folder).genes == fewer.genes


def test_refusals(home, tmp_path):
    _, query, profiles, scvi_model = home
    few = dataclasses.replace(profiles, n_cells=np.where(np.arange(len(profiles.n_cells)) == 0, 19, profiles.n_cells))
    with pytest.raises(ValueError, match=r"\['type0'\] have fewer than 20 cells"):
        sp.hub.save_bundle(scvi_model, tmp_path / "a", summary=False, profiles=few)
    with pytest.raises(TypeError, match="label_profiles"):
        sp.hub.save_bundle(scvi_model, tmp_path / "a", summary=False, profiles={})
    assert not (tmp_path / "a").exists()
    with pytest.raises(sp.hub.BundleError, match="no label profiles"):
        sp.hub.load_profiles(sp.hub.save_bundle(scvi_model, tmp_path / "bare", summary=False))
    with pytest.raises(TypeError, match="load_profiles"):
        sp.tl.detect_novel(query.copy(), scvi_model)
