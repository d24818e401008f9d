"""A picture that stays as it is: what it holds, its anchors, and its encoder."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

import scarches_plus as sp
from scarches_plus.tl import ReferenceMap


def reference(n=240, types=3, d=5, seed=0):
    """Cells of some types, well apart, with an embedding and a picture."""
    rng = np.random.default_rng(seed)
    of_type = np.arange(n) % types
    centers = 6 * rng.normal(size=(types, d))
    turned = rng.normal(size=(d, 2))
    latent = centers[of_type] + rng.normal(size=(n, d))
    obs = pd.DataFrame({"cell_type": [f"type{i}" for i in of_type]}, index=[f"cell{i}" for i in range(n)])
    return AnnData(
        obs=obs, obsm={"X_scarches": latent.astype(np.float32), "X_umap": (latent @ turned).astype(np.float32)}
    )


def arrays_of(picture):
    return {name: np.array(getattr(picture, name)) for name in ("points", "latent", "n_cells", "of_label", "losses")}


def test_it_holds_what_the_reference_has():
    adata = reference()
    adata.obs.loc["cell0", "cell_type"] = "Unknown"
    adata.uns["scarches_plus"] = {"embeddings": {"X_scarches": {"space": "a space"}}}
    picture = sp.tl.reference_map(adata, labels_key="cell_type")
    np.testing.assert_array_equal(picture.points, adata.obsm["X_umap"])
    np.testing.assert_array_equal(picture.latent, adata.obsm["X_scarches"])
    assert picture.labels == ("type0", "type1", "type2")
    assert picture.of_label.tolist() == [-1, *(np.arange(1, 240) % 3)]
    assert (picture.n_cells == 1).all()
    assert (picture.space, picture.basis, picture.encoder) == ("a space", "X_umap", None)
    adata.obsm["X_umap"][:] = 0
    assert picture.points.any(), "the map has a copy"


def test_a_umap_is_made_where_there_is_none_and_repeats():
    adata = reference(60)
    del adata.obsm["X_umap"]
    before = (list(adata.obsm), list(adata.uns), list(adata.obsp))
    one, again, other = (sp.tl.reference_map(adata, rng=seed) for seed in (0, 0, 1))
    assert (list(adata.obsm), list(adata.uns), list(adata.obsp)) == before
    assert one.labels == ()
    assert one.points.shape == (60, 2)
    np.testing.assert_array_equal(one.points, again.points)
    assert (one.points != other.points).any()
    apart = np.linalg.norm(one.points[:, None] - one.points, axis=2)
    same = adata.obs["cell_type"].to_numpy()[:, None] == adata.obs["cell_type"].to_numpy()
    assert apart[same].mean() < apart[~same].mean()


def test_what_cannot_be_a_map():
    adata = reference(30)
    with pytest.raises(KeyError, match="X_tsne"):
        sp.tl.reference_map(adata, basis="X_tsne")
    with pytest.raises(KeyError, match="X_pca"):
        sp.tl.reference_map(adata, use_rep="X_pca")
    with pytest.raises(ValueError, match="has 5 dimensions; a picture has two"):
        sp.tl.reference_map(adata, basis="X_scarches")
    with pytest.raises(ValueError, match="10 cells"):
        sp.tl.reference_map(adata[:9])
    adata.obsm["X_umap"][3] = np.nan
    with pytest.raises(ValueError, match="missing or infinite values in 1 cells"):
        sp.tl.reference_map(adata)


@pytest.mark.parametrize("encoder", [None, {"weight_0": np.ones((5, 2)), "unit": np.asarray(2.0)}])
def test_it_survives_being_plain(encoder):
    picture = sp.tl.reference_map(reference(), labels_key="cell_type")
    picture = ReferenceMap(**{**vars(picture), "encoder": encoder})
    again = ReferenceMap.from_plain(picture.to_plain())
    for name, array in arrays_of(picture).items():
        np.testing.assert_array_equal(getattr(again, name), array)
    assert (again.labels, again.space, again.basis) == (picture.labels, picture.space, picture.basis)
    if encoder is None:
        assert again.encoder is None
    else:
        assert again.encoder.keys() == encoder.keys()
        for name, value in encoder.items():
            np.testing.assert_array_equal(again.encoder[name], value)


# --- Anchors ---


def test_anchors_are_means_of_cells_of_one_label():
    """One label of 24 cells makes one anchor, whose place is computed here."""
    adata = reference(24, types=1)
    anchors = sp.tl.reference_map(adata, labels_key="cell_type").without_cells()
    assert anchors.n_cells.tolist() == [24]
    np.testing.assert_allclose(anchors.points[0], adata.obsm["X_umap"].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(anchors.latent[0], adata.obsm["X_scarches"].mean(axis=0), atol=1e-2)


def test_rare_labels_and_their_names_are_left_out():
    adata = reference(240)
    adata.obs["cell_type"] = ["rare"] * 19 + ["enough"] * 20 + [None] * 41 + ["many"] * 160
    picture = sp.tl.reference_map(adata, labels_key="cell_type")
    before = arrays_of(picture)
    anchors = picture.without_cells()
    assert anchors.labels == ("enough", "many")
    assert anchors.n_cells.min() >= 20
    assert [anchors.n_cells[anchors.of_label == one].sum() for one in (-1, 0, 1)] == [41, 20, 160]
    assert anchors.without_cells() is anchors
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(picture, name), array)
    with pytest.raises(ValueError, match="no label of the map has 20 cells"):
        sp.tl.reference_map(reference(57), labels_key="cell_type").without_cells()


@given(sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5), seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_anchors_hold_twenty_cells_whatever_the_labels(sizes, seed):
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    latent = rng.normal(size=(n, 3)).round(int(rng.integers(3)))  # many cells alike
    of_label, labels = np.repeat(np.arange(len(sizes)), sizes), tuple(map(str, range(len(sizes))))
    picture = ReferenceMap(latent[:, :2], latent, np.ones(n, int), of_label, labels, None, "X_umap")
    if max(sizes) < 20:
        with pytest.raises(ValueError, match="no label"):
            picture.without_cells(rng=seed)
        return
    anchors = picture.without_cells(rng=seed)
    assert anchors.n_cells.min() >= 20
    assert anchors.n_cells.max() < 40, "a group of 40 cells would be divided"
    kept = [size for size in sizes if size >= 20]
    assert np.bincount(anchors.of_label, anchors.n_cells).tolist() == kept


@pytest.mark.parametrize("d", [10, 30, 60])
def test_anchors_of_a_large_reference_are_small_near_each_other_and_repeat(d):
    rng = np.random.default_rng(0)
    n, types = 60_000, 12
    of_type = rng.integers(types, size=n)
    latent = (6 * rng.normal(size=(types, d))[of_type] + rng.normal(size=(n, d))).astype(np.float32)
    islands = 8 * rng.normal(size=(2 * types, 2))  # each type has two islands
    points = islands[of_type + types * (latent[:, 0] > np.median(latent[:, 0]))] + 0.5 * rng.normal(size=(n, 2))
    names = tuple(f"type{i}" for i in range(types))
    picture = ReferenceMap(points.astype(np.float32), latent, np.ones(n, int), of_type, names, None, "X_umap")
    one, again = picture.without_cells(rng=0), picture.without_cells(rng=0)
    for name, array in arrays_of(one).items():
        np.testing.assert_array_equal(getattr(again, name), array)
    assert 1000 < len(one.points) <= 2000
    assert one.n_cells.min() >= 20
    assert one.n_cells.sum() == n
    assert sum(array.nbytes for array in arrays_of(one).values()) <= 200_000
    nearest = np.linalg.norm(one.points[:, None] - islands, axis=2).min(axis=1)
    assert np.quantile(nearest, 0.95) < 1.5, "an anchor lies on an island, not between two"


# --- The encoder ---


@pytest.fixture(scope="module")
def trained():
    adata = reference(300)
    return adata, sp.tl.reference_map(adata, parametric=True)


def test_the_encoder_learns_the_picture(trained):
    adata, picture = trained
    names = {name.rstrip("0123456789") for name in picture.encoder}
    assert names == {"shift", "scale", "center", "unit", "weight_", "bias_"}
    assert all(isinstance(value, np.ndarray) for value in picture.encoder.values())
    np.testing.assert_array_equal(picture.points, adata.obsm["X_umap"])
    losses = picture.losses
    assert losses[-1] < losses[0] / 2
    assert abs(losses[-5:].mean() / losses[-10:-5].mean() - 1) < 0.05, "converged"
    assert len(losses) < 400, "by itself, not by the limit"
    sp.tl.place(adata, picture, method="parametric")
    missed = np.linalg.norm(adata.obsm["X_map"] - picture.points, axis=1)
    spread = np.linalg.norm(picture.points - picture.points.mean(axis=0), axis=1)
    assert np.median(missed) < 0.15 * np.median(spread)


def test_the_training_repeats_and_leaves_torch_alone(limits):
    import torch

    limits(map_epochs=3)
    adata, state = reference(100), torch.get_rng_state()
    one, again, other = (sp.tl.reference_map(adata, parametric=True, rng=seed) for seed in (0, 0, 1))
    for name, value in one.encoder.items():
        np.testing.assert_array_equal(again.encoder[name], value)
    np.testing.assert_array_equal(again.losses, one.losses)
    assert (one.losses != other.losses).all()
    assert (torch.get_rng_state() == state).all()


def test_the_encoder_goes_with_anchors(trained):
    adata, picture = trained
    anchors = picture.without_cells()
    parts = [*arrays_of(anchors).values(), *anchors.encoder.values()]
    assert sum(part.nbytes for part in parts) <= 200_000
    sp.tl.place(adata, picture, method="parametric", key_added="X_of_cells")
    sp.tl.place(adata, anchors, method="parametric", key_added="X_of_anchors")
    missed = np.abs(adata.obsm["X_of_cells"] - adata.obsm["X_of_anchors"]).max()
    assert missed < 0.01 * np.ptp(picture.points)


def test_an_interrupted_training_leaves_the_map(monkeypatch):
    """Ctrl-C in the middle of an epoch, as the clock of the progress bar sees it."""
    from tqdm.auto import tqdm

    update, epochs = tqdm.update, []

    def interrupted(bar, n=1):
        update(bar, n)
        epochs.append(n)
        if len(epochs) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(tqdm, "update", interrupted)
    with pytest.raises(KeyboardInterrupt) as stop:
        sp.tl.reference_map(reference(60), parametric=True)
    assert "sys.last_value.reference_map" in stop.value.__notes__[0]
    assert len(stop.value.reference_map.losses) == 3
    adata = reference(60)
    sp.tl.place(adata, stop.value.reference_map, method="parametric")
    assert np.isfinite(adata.obsm["X_map"]).all()
