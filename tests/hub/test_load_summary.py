"""A summary in a bundle finds the labels and the novel cells that it finds at home."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hostile_bundles import sign
from safetensors.torch import load, save
from small_models import SCVI, reference

import scarches_plus as sp

SILENT = {"enable_progress_bar": False}


@pytest.fixture(scope="module")
def home():
    """Reference without a type, a query of another batch with it, summary and model."""
    cells = sp.datasets.simulate(700, 200, 5, n_batches=4, batch_effect=0.3, rng=1)
    of_query = (cells.obs["batch"] == "batch3").to_numpy()
    known = cells[~of_query & (cells.obs["cell_type"] != "type4").to_numpy()].copy()
    model = reference(SCVI, known.copy())
    sp.tl.embed(known, model)
    summary = sp.tl.reference_summary(known, "cell_type", "batch", use_rep="X_scarches")
    return known, cells[of_query].copy(), summary, model


@pytest.fixture
def folder(home, tmp_path):
    return sp.hub.save_bundle(home[3], tmp_path / "bundle", labels_key="cell_type", summary=home[2])


def test_it_comes_back_and_finds_the_same(home, folder):
    _, query, summary, _ = home
    again = sp.hub.load_summary(folder)
    assert type(again) is sp.tl.ReferenceSummary
    for part in ("profiles", "classifier", "map"):
        for name, value in vars(getattr(summary, part)).items():
            np.testing.assert_array_equal(getattr(getattr(again, part), name), value, err_msg=name)
    there, here = query.copy(), query.copy()
    for cells, one in ((there, again), (here, summary)):
        sp.tl.detect_novel(cells, one)
        sp.tl.annotate(cells, one)
    for column in ("novel_score", "cell_type_uncertainty"):
        assert there.obs[column].equals(here.obs[column])
    unseen = (query.obs["cell_type"] == "type4").to_numpy()
    assert there.obs["novel"][unseen].mean() > 0.9 > 0.3 > there.obs["novel"][~unseen].mean()
    right = there.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)
    assert right[~unseen].mean() > 0.95
    assert (folder / "summary.safetensors").stat().st_size < 500_000
    sp.hub.verify_bundle(folder)
    assert "load_summary" in (folder / "README.md").read_text()


def test_a_site_with_the_bundle_only(home, folder):
    """Labels, their consensus with the classifier, novelty, and the bundle of the next site."""
    query = home[1].copy()
    model = sp.hub.load_bundle(folder)
    assert model.state.summaries["cell_type"].temperature >= 1
    mapped = sp.tl.map_query(query, model, max_epochs=1, train_kwargs=SILENT)
    summary = sp.hub.load_summary(folder)
    sp.tl.detect_novel(query, summary)
    sp.tl.transfer_labels(query, mapped, "cell_type", novel_key="novel", probabilities=True)
    mixture = mapped.state.summaries["cell_type"]
    assert mixture.temperature == model.state.summaries["cell_type"].temperature
    np.testing.assert_array_equal(
        query.obsm["cell_type_probabilities"], mixture.probabilities(query.obsm["X_scarches"])
    )
    assert (query.obs["cell_type_pred"][query.obs["novel"]] == "Unknown").all()
    sp.tl.transfer_labels(query, mapped, "cell_type", classifier=summary)
    known = (query.obs["cell_type"] != "type4").to_numpy()
    assert (query.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str))[known].mean() > 0.9
    following = sp.hub.save_bundle(mapped, folder.parent / "next", summary=summary)
    assert sp.hub.load_summary(following).profiles.genes == home[2].profiles.genes


def test_a_part_may_come_alone(home, tmp_path):
    known, query, summary, model = home
    for part in ("profiles", "classifier", "map"):
        one = sp.tl.ReferenceSummary(**{part: getattr(summary, part)})
        again = sp.hub.load_summary(sp.hub.save_bundle(model, tmp_path / part, summary=one))
        assert {name for name, value in vars(again).items() if value is not None} == {part}
    with pytest.raises(ValueError, match=r"holds no profiles.*reference_summary"):
        sp.tl.detect_novel(query.copy(), again)
    for verb, part in ((sp.tl.annotate, "classifier"), (sp.tl.place, "map")):
        with pytest.raises(ValueError, match=f"holds no {part}"):
            verb(query.copy(), sp.tl.ReferenceSummary(profiles=summary.profiles))
    fewer = sp.tl.reference_summary(known[:, ::-2].copy(), "cell_type", "batch")
    folder = sp.hub.save_bundle(model, tmp_path / "fewer genes", summary=fewer)
    assert sp.hub.load_summary(folder).profiles.genes == fewer.profiles.genes


def test_a_map_travels_without_cells(home, tmp_path):
    """Cells become anchors; queries are placed the same at home and from the bundle."""
    known, _, _, model = home
    some = known[:150].copy()
    d, rng = some.obsm["X_scarches"].shape[1], np.random.default_rng(0)
    shapes = {
        "shift": d, "scale": d, "weight_0": (d, 5), "bias_0": 5, "weight_1": (5, 2), "bias_1": 2, "center": 2, "unit": ()
    }  # fmt: skip
    layers = {name: rng.uniform(0.5, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    cells = dataclasses.replace(
        sp.tl.reference_map(some, labels_key="cell_type"), encoder=layers, losses=np.linspace(9, 1, 7)
    )
    assert (cells.n_cells == 1).all()
    folder = sp.hub.save_bundle(model, tmp_path / "bundle", summary=sp.tl.ReferenceSummary(map=cells))
    again, anchors = sp.hub.load_summary(folder).map, cells.without_cells()
    assert again.n_cells.min() >= 20
    assert again.labels == anchors.labels
    np.testing.assert_allclose(again.losses, anchors.losses, rtol=1e-6)
    for name in ("points", "latent", "n_cells", "of_label"):
        np.testing.assert_array_equal(getattr(again, name), getattr(anchors, name), err_msg=name)
    for method in ("neighbors", "parametric"):
        there, here = (
            sp.tl.place(some, one, method=method, copy=True) for one in (sp.hub.load_summary(folder), anchors)
        )
        np.testing.assert_array_equal(there.obsm["X_map"], here.obsm["X_map"])
    assert "sp.tl.place(query, summary)" in (folder / "README.md").read_text()
    assert (folder / "summary.safetensors").stat().st_size < 250_000
    sp.hub.verify_bundle(folder)


def test_a_map_of_another_latent_space_stays_out(home, tmp_path, caplog):
    _, _, summary, model = home
    other = dataclasses.replace(summary, map=dataclasses.replace(summary.map, space="another"))
    again = sp.hub.load_summary(sp.hub.save_bundle(model, tmp_path / "bundle", summary=other))
    assert again.map is None
    assert again.profiles is not None
    assert "another latent space" in caplog.text


def as_schema_1(folder):
    """Turn a bundle into one of schema 1, where each part of the summary was a file and a section of its own."""
    manifest = json.loads((folder / "manifest.json").read_text())
    tensors, summary = load((folder / "summary.safetensors").read_bytes()), manifest.pop("summary")
    (folder / "summary.safetensors").unlink()
    del manifest["files"]["summary.safetensors"]
    manifest["schema_version"] = 1
    for section, field in (("summaries", "latent"), ("profiles", "profiles"), ("classifier", "classifier")):
        manifest[section] = summary[field]  # there was no map
        some = {name.partition("/")[2]: one for name, one in tensors.items() if name.startswith(f"{field}/")}
        (folder / f"{section}.safetensors").write_bytes(save(some))
        manifest["files"][f"{section}.safetensors"] = {"size": 0, "sha256": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    sign(folder)


def test_a_bundle_of_schema_1_opens(home, folder):
    as_schema_1(folder)
    sp.hub.verify_bundle(folder)
    again, model = sp.hub.load_summary(folder), sp.hub.load_bundle(folder)
    np.testing.assert_array_equal(again.profiles.logs, home[2].profiles.logs)
    np.testing.assert_array_equal(again.classifier.coefficients, home[2].classifier.coefficients)
    assert model.state.summaries["cell_type"].labels == again.profiles.labels
    following = sp.hub.save_bundle(model, folder.parent / "next", summary=again)
    assert (following / "summary.safetensors").exists()


def test_profiles_of_the_earlier_form_are_refused_with_the_fix(folder):
    path = folder / "summary.safetensors"
    path.write_bytes(save(load(path.read_bytes()) | {"profiles/losses": torch.zeros(1)}))
    sign(folder)
    with pytest.raises(sp.hub.BundleError, match=r"earlier form.*summary=sp\.tl\.reference_summary"):
        sp.hub.load_summary(folder)


def test_labels_of_few_cells_stay_at_home(home, tmp_path):
    known, _, summary, model = home
    profiles, classifier = summary.profiles, summary.classifier
    sizes = np.where(np.arange(len(profiles.n_cells)) == 0, 19, profiles.n_cells)
    few = {
        "profiles": dataclasses.replace(profiles, n_cells=sizes),
        "classifier": dataclasses.replace(classifier, n_cells=np.array([19, 20, 20, 20])),
    }
    for part, one in few.items():
        with pytest.raises(ValueError, match=rf"{part} of \['type0'\] have fewer than 20 cells.*min_cells=20"):
            sp.hub.save_bundle(model, tmp_path / "a", summary=sp.tl.ReferenceSummary(**{part: one}))
    assert not (tmp_path / "a").exists()
    rare = known.copy()
    names = rare.obs["cell_type"].astype(str)
    names.iloc[np.flatnonzero(names == "type0")[19:]] = "type1"
    rare.obs["cell_type"] = names
    enough = sp.tl.reference_summary(rare, "cell_type", "batch")
    assert enough.profiles.labels == enough.classifier.labels == ("type1", "type2", "type3")
    sp.hub.save_bundle(model, tmp_path / "enough", summary=enough)


def test_refusals(home, tmp_path):
    _, query, _, model = home
    with pytest.raises(TypeError, match="reference_summary"):
        sp.hub.save_bundle(model, tmp_path / "a", summary={})
    with pytest.raises(sp.hub.BundleError, match="neither label profiles, nor a classifier, nor a map"):
        sp.hub.load_summary(sp.hub.save_bundle(model, tmp_path / "bare", summary=False))
    with pytest.raises(TypeError, match="load_summary"):
        sp.tl.detect_novel(query.copy(), model)
