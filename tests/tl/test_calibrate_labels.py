"""Do calibrated probabilities mean what they say?"""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scarches_plus as sp
from scarches_plus.metrics import label_transfer_report


def overlapping(n_cells, rng, batches=("a", "b", "c")):
    """Cells of three overlapping types in a plane, so that the best vote is often wrong."""
    rng = np.random.default_rng(rng)
    types = rng.integers(0, 3, n_cells)
    z = np.array([[0, 0], [1.2, 0], [0, 4]])[types] + rng.normal(size=(n_cells, 2))
    obs = pd.DataFrame(
        {"cell_type": np.array(["T", "NK", "B"])[types], "batch": rng.choice(batches, n_cells)},
        index=[f"c{i}" for i in range(n_cells)],
    )
    return AnnData(obs=obs, obsm={"X_scarches": z.astype(np.float32)})


@pytest.fixture
def reference():
    return overlapping(1500, 0)


@pytest.fixture
def query():
    return overlapping(1500, 1, ["q"])


def transferred(query, reference, **kwargs):
    query = sp.tl.transfer_labels(query, reference, "cell_type", unknown_above=None, copy=True, **kwargs)
    report = label_transfer_report(
        query.obs["cell_type"], query.obs["cell_type_pred"], query.obs["cell_type_uncertainty"]
    )
    return query, report


def test_the_calibration_error_falls_and_the_labels_stay(reference, query):
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", k=3)
    plain, before = transferred(query, reference, k=3)
    calibrated, after = transferred(query, reference, k=3, calibration=calibration, probabilities=True)
    assert before.calibration_error > 0.08  # three neighbours are often of one opinion, and wrong
    assert after.calibration_error < 0.04
    assert (plain.obs["cell_type_pred"].astype(str) == calibrated.obs["cell_type_pred"].astype(str)).all()
    shares = calibrated.obsm["cell_type_probabilities"]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(1 - shares.max(axis=1), calibrated.obs["cell_type_uncertainty"], atol=1e-12)
    assert calibration.error < 0.04 < 0.08 < calibration.error_before
    assert calibration.n_cells == 1500


def test_probabilities_are_those_of_the_formula(reference, query):
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", k=10)
    plain, _ = transferred(query, reference, k=10, probabilities=True)
    calibrated, _ = transferred(query, reference, k=10, probabilities=True, calibration=calibration)
    powers = (plain.obsm["cell_type_probabilities"] + calibration.floor) ** calibration.exponent
    np.testing.assert_allclose(
        calibrated.obsm["cell_type_probabilities"], powers / powers.sum(axis=1, keepdims=True), rtol=1e-9
    )


def test_held_out_cells_take_no_votes_of_their_own_batch():
    """Two batches whose labels are swapped: within a batch the vote is always right, across always wrong."""
    reference = overlapping(400, 0, ["a", "b"])
    reference.obsm["X_scarches"][:, 0] = np.where(reference.obs["cell_type"] == "T", 0, 50)
    reference.obsm["X_scarches"][reference.obs["batch"] == "b", 0] *= -1
    reference.obsm["X_scarches"][reference.obs["batch"] == "b", 0] += 50
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", k=5)
    assert calibration.error_before > 0.5


def test_labels_of_one_batch_are_left_out(reference):
    reference.obs.loc[(reference.obs["batch"] == "a") & (reference.obs["cell_type"] == "B"), "cell_type"] = "only here"
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch")
    assert calibration.n_cells == (reference.obs["cell_type"] != "only here").sum()
    reference.obs["cell_type"] = reference.obs["batch"].astype(str)
    with pytest.raises(ValueError, match="occurs in more than one batch"):
        sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch")


def test_cells_without_a_label_are_neither_held_out_nor_vote(reference):
    some = reference.obs_names[:300]
    without = reference[300:].copy()
    reference.obs.loc[some[:150], "cell_type"] = "Unknown"
    reference.obs.loc[some[150:], "cell_type"] = None
    one, other = (sp.tl.calibrate_labels(cells, "cell_type", batch_key="batch") for cells in (reference, without))
    assert one == other


def test_one_batch_is_said(reference):
    reference.obs["batch"] = "a"
    with pytest.warns(UserWarning, match="one batch"):
        assert sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch").n_cells == 1500


def test_no_more_cells_than_asked(reference):
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", n_cells=200)
    assert calibration.n_cells == 200
    assert calibration == sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", n_cells=200)
    assert calibration != sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", n_cells=200, rng=1)


def test_it_is_kept_as_plain_values(reference):
    before = reference.obs.copy()
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch")
    pd.testing.assert_frame_equal(reference.obs, before)
    assert sp.tl.LabelCalibration(**json.loads(json.dumps(calibration.to_plain()))) == calibration


def test_another_vote_is_refused(reference, query):
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", k=10)
    with pytest.raises(ValueError, match=r"another vote \(k=10.*k=20"):
        sp.tl.transfer_labels(query, reference, "cell_type", k=20, calibration=calibration)
    with pytest.raises(ValueError, match="kernel='gaussian'"):
        sp.tl.transfer_labels(query, reference, "cell_type", k=10, kernel="gaussian", calibration=calibration)
    with pytest.raises(ValueError, match="2 label columns"):
        sp.tl.transfer_labels(query, reference, ["cell_type", "batch"], k=10, calibration=calibration)
    with pytest.raises(KeyError, match="no calibration of"):
        sp.tl.transfer_labels(query, reference, ["cell_type", "batch"], k=10, calibration={"cell_type": calibration})
    with pytest.raises(KeyError, match="nothing"):
        sp.tl.calibrate_labels(reference, "cell_type", batch_key="nothing")
    with pytest.raises(TypeError, match=r"LabelCalibration\(\*\*values\)"):
        sp.tl.transfer_labels(query, reference, "cell_type", k=10, calibration=calibration.to_plain())
    with pytest.raises(TypeError, match=r"of 'cell_type' must be .* not dict"):
        sp.tl.transfer_labels(query, reference, "cell_type", k=10, calibration={"cell_type": calibration.to_plain()})
    with pytest.raises(ValueError, match="n_cells must be at least 1"):
        sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", n_cells=0)
    for cells in (reference, query):  # the same place, of another space
        cells.uns["scarches_plus"] = {"embeddings": {"X_scarches": {"space": "another"}}}
    with pytest.raises(ValueError, match=r"space None.*space another"):
        sp.tl.transfer_labels(query, reference, "cell_type", k=10, calibration=calibration)
    assert "cell_type_pred" not in query.obs


def test_batches_that_contradict_one_another_leave_the_vote_as_it_is(query):
    """In one batch the vote is right more often than it says, in the other less: neither speaks for the other."""
    reference = overlapping(1600, 0, ["a", "b"])
    sure = (reference.obs["batch"] == "a").to_numpy()
    wrong = ~sure & (np.arange(reference.n_obs) % 2 == 0)
    reference.obs.loc[wrong, "cell_type"] = np.roll(reference.obs["cell_type"].to_numpy(), 1)[wrong]
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch")
    assert calibration.exponent == 1
    assert calibration.error == calibration.error_before
    before = transferred(query, reference)[1]
    after = transferred(query, reference, calibration=calibration)[1]
    assert after.calibration_error == pytest.approx(before.calibration_error, abs=1e-3)


def test_the_error_is_that_of_batches_the_calibration_has_not_seen():
    reference = overlapping(900, 0)
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch", k=3)
    held_out = []
    for batch in "abc":
        own = reference[(reference.obs["batch"] == batch).to_numpy()].copy()
        others = reference[(reference.obs["batch"] != batch).to_numpy()]
        voted = sp.tl.transfer_labels(own, others, "cell_type", k=3, unknown_above=None, probabilities=True, copy=True)
        held_out.append((voted.obsm["cell_type_probabilities"], own.obs["cell_type"].astype("category").cat.codes))
    sure, right = [], []
    for one in range(3):
        shares, codes = (
            np.concatenate([held_out[other][part] for other in range(3) if other != one]) for part in (0, 1)
        )
        exponent, floor = fit_by_grid(shares, codes)
        powers = (held_out[one][0] + floor) ** exponent
        sure.append(powers.max(axis=1) / powers.sum(axis=1))
        right.append(powers.argmax(axis=1) == held_out[one][1].to_numpy())
    curve = sp.metrics.reliability_curve(np.concatenate(sure), np.concatenate(right))
    assert calibration.error == pytest.approx(curve.attrs["calibration_error"], abs=0.01)


def fit_by_grid(shares, codes):
    """The exponent and the floor of highest likelihood, by trying them all."""
    best = None
    for exponent in np.geomspace(0.1, 10, 60):
        for floor in np.geomspace(1e-4, 1, 60):
            powers = (shares + floor) ** exponent
            loss = -np.log(powers[np.arange(len(codes)), codes] / powers.sum(axis=1)).mean()
            best = min(best or (loss, exponent, floor), (loss, exponent, floor))
    return best[1:]
