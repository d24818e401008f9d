"""label_profiles against a naive mean over batches, and what held-out batches say."""

import numpy as np
import pytest

import scarches_plus as sp
from scarches_plus.tl import LabelProfiles


def reference(effect=0.5, **options):
    return sp.datasets.simulate(900, 300, 5, n_batches=3, batch_effect=effect, rng=1, **options)


def naive(adata, label):
    means = []
    for batch in sorted(adata.obs["batch"].unique()):
        counts = adata[(adata.obs["cell_type"] == label) & (adata.obs["batch"] == batch)].X.toarray()
        means.append(np.log((counts / counts.sum(axis=1, keepdims=True)).mean(axis=0) + 1e-3))
    return np.mean(means, axis=0)


def test_logs_are_means_over_batches():
    adata = reference()
    profiles = sp.tl.label_profiles(adata, "cell_type", "batch")
    assert profiles.labels == tuple(f"type{i}" for i in range(5))
    assert profiles.genes == tuple(adata.var_names)
    assert profiles.batches == ("batch0", "batch1", "batch2")
    for row, label in zip(profiles.logs, profiles.labels, strict=True):
        np.testing.assert_allclose(row, naive(adata, label), atol=1e-4)


def test_batches_agree_less_where_cells_are_shallower():
    adata = reference()
    profiles = sp.tl.label_profiles(adata, "cell_type", "batch")
    assert (np.diff(profiles.depths) > 0).all()
    np.testing.assert_allclose(profiles.depths[-1], np.median(np.asarray(adata.X.sum(axis=1))))
    assert (np.diff(profiles.expected.mean(axis=1)) > 0).all()
    assert (profiles.expected < 1).all()
    assert (profiles.expected > 0.5).all()
    assert profiles.losses.shape == (len(profiles.depths), 3, 101)
    assert (np.diff(profiles.losses, axis=2) >= 0).all()


def test_depths_between_are_mixed_in_the_logarithm_and_those_beyond_are_the_nearest():
    profiles = sp.tl.label_profiles(reference(), "cell_type", "batch")
    middle = np.sqrt(profiles.depths[0] * profiles.depths[1])
    expected, losses = profiles.at_depth(middle)
    np.testing.assert_allclose(expected, profiles.expected[:2].mean(axis=0))
    np.testing.assert_allclose(losses, profiles.losses[:2].mean(axis=0))
    for depth, row in ((1.0, 0), (1e9, -1), (profiles.depths[1], 1)):
        np.testing.assert_allclose(profiles.at_depth(depth)[0], profiles.expected[row])


def test_it_survives_being_plain():
    profiles = sp.tl.label_profiles(reference(), "cell_type", "batch", depth=500)
    again = LabelProfiles.from_plain(profiles.to_plain())
    assert vars(again).keys() == vars(profiles).keys()
    for name, value in vars(profiles).items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_cells_without_a_label_are_left_out():
    adata = reference()
    labelled = adata.copy()
    labelled.obs["cell_type"] = labelled.obs["cell_type"].astype(object)
    labelled.obs.iloc[:50, labelled.obs.columns.get_loc("cell_type")] = "Unknown"
    labelled.obs.iloc[50:100, labelled.obs.columns.get_loc("cell_type")] = None
    found = sp.tl.label_profiles(labelled, "cell_type", "batch", depth=500)
    alone = sp.tl.label_profiles(adata[100:].copy(), "cell_type", "batch", depth=500)
    np.testing.assert_array_equal(found.logs, alone.logs)
    np.testing.assert_array_equal(found.losses, alone.losses)


def test_labels_of_few_cells_stay_at_home_as_if_they_had_none(caplog):
    adata = reference()
    rare = adata.copy()
    rare.obs["cell_type"] = rare.obs["cell_type"].astype(object)
    rare.obs.iloc[:19, rare.obs.columns.get_loc("cell_type")] = "rare"
    rare.obs.iloc[19:39, rare.obs.columns.get_loc("cell_type")] = "just enough"
    with caplog.at_level("WARNING", logger="scarches_plus"):
        found = sp.tl.label_profiles(rare, "cell_type", "batch", depth=500)
    assert found.left_out == ("rare",)
    assert "rare" in caplog.text
    assert "just enough" in found.labels
    np.testing.assert_array_equal(
        found.n_cells, rare.obs["cell_type"].value_counts().reindex(list(found.labels)).to_numpy()
    )
    unlabelled = sp.tl.label_profiles(rare[19:].copy(), "cell_type", "batch", depth=500)
    np.testing.assert_array_equal(found.logs, unlabelled.logs)
    assert "rare" in sp.tl.label_profiles(rare, "cell_type", "batch", depth=500, min_cells=1).labels


def test_a_single_batch_is_held_out_by_halves():
    adata = reference()
    one = adata[adata.obs["batch"] == "batch0"].copy()
    profiles = sp.tl.label_profiles(one, "cell_type", "batch")
    assert profiles.batches == ("half 1", "half 2")
    assert np.isfinite(profiles.losses).all()
    assert (profiles.expected > 0.5).all()


def test_missing_batches_are_named():
    adata = reference()
    for column in (adata.obs["batch"].astype(object), adata.obs["batch"]):
        holes = adata.copy()
        holes.obs["batch"] = column.where(np.arange(adata.n_obs) >= 60)
        with pytest.raises(ValueError, match=r"obs\['batch'\] has 60 missing values"):
            sp.tl.label_profiles(holes, "cell_type", "batch")
        with pytest.raises(ValueError, match=r"obs\['batch'\] has 60 missing values"):
            sp.tl.detect_novel(adata, holes, "cell_type", batch_key="batch")
    holes.obs["cell_type"] = holes.obs["cell_type"].where(
        holes.obs["batch"].notna()
    )  # cells without a label need no batch
    assert sp.tl.label_profiles(holes, "cell_type", "batch", depth=500).batches == ("batch0", "batch1", "batch2")


def test_what_cannot_be_held_out_is_said():
    adata = reference()
    with pytest.raises(ValueError, match="names 1 label"):
        sp.tl.label_profiles(adata[adata.obs["cell_type"] == "type0"].copy(), "cell_type", "batch")
    with pytest.raises(ValueError, match="nothing can be held out"):
        sp.tl.label_profiles(adata[:60].copy(), "cell_type", "batch", min_cells=1)
    with pytest.raises(KeyError, match="'study' not found"):
        sp.tl.label_profiles(adata, "cell_type", "study")
