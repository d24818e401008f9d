"""Against a loop over bins, and labels drawn with the stated probability."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scarches_plus.metrics import label_transfer_report, reliability_curve


@given(st.integers(1, 80), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_every_bin_by_a_loop(n_cells, n_bins, seed):
    rng = np.random.default_rng(seed)
    confidence = rng.choice([0.0, 0.2, 0.5, 1.0, rng.random()], n_cells)
    correct = rng.random(n_cells) < 0.5
    curve = reliability_curve(confidence, correct, n_bins=n_bins)
    edges = np.linspace(0, 1, n_bins + 1)
    expected, error = [], 0.0
    for m in range(n_bins):
        inside = [
            i
            for i in range(n_cells)
            if (confidence[i] > edges[m] or (m == 0 and confidence[i] == 0)) and confidence[i] <= edges[m + 1]
        ]
        if inside:
            row = np.mean(confidence[inside]), np.mean(correct[inside])
            expected.append([edges[m], edges[m + 1], len(inside), *row])
            error += len(inside) / n_cells * abs(row[0] - row[1])
    np.testing.assert_allclose(curve.to_numpy(), expected)
    assert curve.attrs["calibration_error"] == pytest.approx(error)
    assert list(curve.columns) == ["lower", "upper", "n_cells", "confidence", "accuracy"]


def test_the_error_is_that_of_the_report():
    rng = np.random.default_rng(0)
    labels, predictions, uncertainty = *rng.choice(list("abc"), (2, 200)).tolist(), rng.random(200)
    report = label_transfer_report(labels, predictions, uncertainty)
    curve = reliability_curve(1 - uncertainty, np.array(labels) == predictions)
    assert curve.attrs["calibration_error"] == report.calibration_error


def test_probabilities_that_mean_what_they_say():
    rng = np.random.default_rng(0)
    confidence = rng.random(100_000)
    curve = reliability_curve(confidence, rng.random(100_000) < confidence)
    assert curve.attrs["calibration_error"] < 0.01
    assert reliability_curve(confidence, rng.random(100_000) < confidence**2).attrs["calibration_error"] > 0.15


@pytest.mark.parametrize(
    ("confidence", "correct", "n_bins", "message"),
    [
        ([0.5, 0.5], [True], 15, r"one entry for each cell; their shapes are \(2,\) and \(1,\)"),
        ([], [], 15, "one entry for each cell"),
        ([0.5], [1], 15, "must be boolean"),
        ([1.5], [True], 15, "outside of 0 to 1"),
        ([np.nan], [True], 15, "missing"),
        ([0.5], [True], 0, "n_bins must be at least 1"),
    ],
)
def test_bad_input(confidence, correct, n_bins, message):
    with pytest.raises(ValueError, match=message):
        reliability_curve(confidence, correct or np.array([], dtype=bool), n_bins=n_bins)
