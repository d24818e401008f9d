"""label_profiles against naive means and variances of groups."""

import numpy as np
import pytest
from scipy import sparse

import scarches_plus as sp
from scarches_plus.tl import LabelProfiles


def reference(effect=0.5, **options):
    return sp.datasets.simulate(900, 300, 5, n_batches=3, batch_effect=effect, rng=1, **options)


def shares_of(adata, label, batch):
    counts = adata[(adata.obs["cell_type"] == label) & (adata.obs["batch"] == batch)].X.toarray()
    return counts / counts.sum(axis=1, keepdims=True)


def test_groups_are_labels_in_batches():
    adata = reference()
    profiles = sp.tl.label_profiles(adata, "cell_type", "batch")
    assert profiles.labels == tuple(f"type{i}" for i in range(5))
    assert profiles.genes == tuple(adata.var_names)
    assert profiles.batches == ("batch0", "batch1", "batch2")
    assert len(profiles.logs) == len(profiles.n_cells) == 15
    groups = zip(profiles.of_label, profiles.of_batch, profiles.logs, profiles.n_cells, strict=True)
    for label, batch, logs, n_cells in groups:
        shares = shares_of(adata, profiles.labels[label], profiles.batches[batch])
        assert len(shares) == n_cells
        np.testing.assert_allclose(logs, np.log(shares.mean(axis=0) + 1e-3), atol=1e-5)


def test_means_over_batches_and_variances_between_and_within_them():
    adata = reference()
    profiles = sp.tl.label_profiles(adata, "cell_type", "batch")
    groups = np.array(
        [
            [np.log(shares_of(adata, label, batch).mean(axis=0) + 1e-3) for batch in profiles.batches]
            for label in profiles.labels
        ]
    )
    np.testing.assert_allclose(profiles.over_batches(), groups.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(profiles.batch_variance(), groups.var(axis=1, ddof=1).mean(axis=0), atol=1e-4)
    within, sizes = [], []
    for label in profiles.labels:
        parts = [np.log(shares_of(adata, label, batch) + 1e-3) for batch in profiles.batches]
        sizes.append([len(part) for part in parts])
        within.append(np.average([part.var(axis=0, ddof=1) for part in parts], axis=0, weights=sizes[-1]))
    np.testing.assert_allclose(profiles.variances, within, rtol=1e-3, atol=1e-4)
    total = np.average(within, axis=0, weights=np.sum(sizes, axis=1))
    np.testing.assert_allclose(profiles.within_variance(), total, rtol=1e-3, atol=1e-4)


def test_it_survives_being_plain():
    profiles = sp.tl.label_profiles(reference(), "cell_type", "batch")
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
    found = sp.tl.label_profiles(labelled, "cell_type", "batch")
    alone = sp.tl.label_profiles(adata[100:].copy(), "cell_type", "batch")
    np.testing.assert_array_equal(found.logs, alone.logs)
    np.testing.assert_array_equal(found.variances, alone.variances)


def test_labels_of_few_cells_stay_at_home_as_if_they_had_none(caplog):
    adata = reference()
    rare = adata.copy()
    rare.obs["cell_type"] = rare.obs["cell_type"].astype(object)
    rare.obs.iloc[:19, rare.obs.columns.get_loc("cell_type")] = "rare"
    rare.obs.iloc[19:39, rare.obs.columns.get_loc("cell_type")] = "just enough"
    with caplog.at_level("WARNING", logger="scarches_plus"):
        found = sp.tl.label_profiles(rare, "cell_type", "batch")
    assert found.left_out == ("rare",)
    assert "rare" in caplog.text
    assert (found.n_cells >= 20).all()
    unlabelled = sp.tl.label_profiles(rare[19:].copy(), "cell_type", "batch")
    np.testing.assert_array_equal(found.logs, unlabelled.logs)
    assert "rare" in sp.tl.label_profiles(rare, "cell_type", "batch", min_cells=1).labels


def test_cells_without_counts_are_left_out():
    adata = reference()
    empty = adata.copy()
    empty.X = sparse.csr_matrix(empty.X.multiply((np.arange(adata.n_obs) >= 50)[:, None]))
    found = sp.tl.label_profiles(empty, "cell_type", "batch")
    np.testing.assert_array_equal(found.logs, sp.tl.label_profiles(adata[50:].copy(), "cell_type", "batch").logs)


def test_a_label_with_few_cells_in_each_batch_is_one_group():
    adata = reference()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object)
    rows = np.concatenate([np.flatnonzero(adata.obs["batch"] == f"batch{i}")[:10] for i in range(3)])
    adata.obs.iloc[rows, adata.obs.columns.get_loc("cell_type")] = "spread"
    found = sp.tl.label_profiles(adata, "cell_type", "batch")
    groups = found.of_label == found.labels.index("spread")
    assert found.of_batch[groups].tolist() == [-1]
    assert found.n_cells[groups].tolist() == [30]
    counts = adata[rows].X.toarray()
    naive = np.log((counts / counts.sum(axis=1, keepdims=True)).mean(axis=0) + 1e-3)
    np.testing.assert_allclose(found.logs[groups][0], naive, atol=1e-5)


def test_nothing_is_known_about_batches_of_a_reference_of_one():
    adata = reference()
    profiles = sp.tl.label_profiles(adata[adata.obs["batch"] == "batch0"].copy(), "cell_type", "batch")
    assert profiles.batches == ("batch0",)
    assert (profiles.batch_variance() == 0).all()


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
    assert sp.tl.label_profiles(holes, "cell_type", "batch").batches == ("batch0", "batch1", "batch2")


def test_what_has_no_contrast_is_said():
    adata = reference()
    twice = adata.copy()
    twice.var_names = ["gene0", "gene0", *adata.var_names[2:]]
    with pytest.raises(ValueError, match="names of genes are not unique"):
        sp.tl.label_profiles(twice, "cell_type", "batch")
    alike = adata.copy()
    alike.obs["cell_type"] = [1 if i % 2 else "1" for i in range(adata.n_obs)]
    with pytest.raises(ValueError, match="'1'"):
        sp.tl.label_profiles(alike, "cell_type", "batch")
    with pytest.raises(ValueError, match="names 1 label"):
        sp.tl.label_profiles(adata[adata.obs["cell_type"] == "type0"].copy(), "cell_type", "batch")
    with pytest.raises(KeyError, match="'study' not found"):
        sp.tl.label_profiles(adata, "cell_type", "study")
