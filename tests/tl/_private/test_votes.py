"""Votes of neighbours, their calibration, and what makes a cell novel."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

import scarches_plus as sp
from scarches_plus.tl._label_calibration import calibrated_shares, fit
from scarches_plus.tl._votes._neighbor_votes import KERNELS, best_labels, kernel_weights, vote

# --- Votes equal the printed equations, written as loops ---


distances = arrays(np.float64, (4, 6), elements=st.integers(0, 3000).map(lambda x: x / 100))


def naive_vote(d, labels, n_labels, kernel):
    """Eq. 17-20 of the paper, one cell at a time."""
    p = np.zeros((len(d), n_labels))
    for c in range(len(d)):
        k = len(d[c])
        s = np.std(d[c]) if kernel == "scarches" else np.sqrt(sum(x**2 for x in d[c]) / k)
        for n in range(k):
            if kernel == "gaussian":
                w = np.exp(-((d[c, n] / s) ** 2) / 2) if s else 1.0
            else:
                w = np.exp(-d[c, n] / (2 / s) ** 2) if s else 1.0
            p[c, labels[c, n]] += w
        p[c] /= p[c].sum()
    return p


@settings(max_examples=60, deadline=None)
@given(d=distances, seed=st.integers(0, 99), kernel=st.sampled_from(KERNELS))
def test_equals_the_printed_equations(d, seed, kernel):
    labels = np.random.default_rng(seed).integers(0, 3, d.shape)
    expected = naive_vote(np.minimum(d, 8.0), labels, 3, kernel)
    np.testing.assert_allclose(vote(labels, kernel_weights(np.minimum(d, 8.0), kernel), 3), expected, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(d=distances, kernel=st.sampled_from(KERNELS))
def test_weights(d, kernel):
    weights = kernel_weights(d, kernel)
    assert ((weights >= 0) & (weights <= 1)).all()
    np.testing.assert_allclose(weights.max(axis=1), 1.0)
    order = np.argsort(d, axis=1)
    assert (np.diff(np.take_along_axis(weights, order, axis=1)) <= 1e-12).all()


def test_far_cells_keep_their_votes():
    weights = kernel_weights(np.array([[1e3, 1e3 + 1e-6]]), "paper")  # exp(-2.5e8) is 0 in floating point
    assert weights.sum() > 1.5


def test_gaussian_does_not_depend_on_scale():
    d = np.random.default_rng(0).random((5, 7))
    np.testing.assert_allclose(kernel_weights(d, "gaussian"), kernel_weights(d * 100, "gaussian"))
    assert not np.allclose(kernel_weights(d, "paper"), kernel_weights(d * 10, "paper"))


def test_neighbours_without_a_label_do_not_vote():
    codes = np.array([[0, -1, 1], [-1, -1, -1]])
    p = vote(codes, np.ones((2, 3)), 2)
    np.testing.assert_array_equal(p, [[0.5, 0.5], [0, 0]])


def test_best_labels_in_chunks(monkeypatch):
    rng = np.random.default_rng(0)
    indices, weights, codes = rng.integers(0, 20, (33, 5)), rng.random((33, 5)), rng.integers(-1, 3, 20)

    def shares_of(rows):
        return vote(codes[indices[rows]], weights[rows], 3)

    whole = best_labels(shares_of, 33, "abc")
    monkeypatch.setattr("scarches_plus.tl._votes._neighbor_votes._CHUNK", 4)
    chunked = best_labels(shares_of, 33, "abc")
    np.testing.assert_array_equal(whole[0], chunked[0])
    np.testing.assert_array_equal(whole[1], chunked[1])
    p = vote(codes[indices], weights, 3)
    np.testing.assert_array_equal(whole[0], np.where(p.max(1) > 0, p.argmax(1), -1))


def test_kernel_name():
    with pytest.raises(ValueError, match="kernel must be one of"):
        kernel_weights(np.ones((1, 1)), "cosine")


# --- Calibration ---


def shares_of(n_cells, n_labels, rng, temperature=1.0):
    """Shares whose probabilities are known, and labels drawn from these."""
    rng = np.random.default_rng(rng)
    logits = rng.normal(size=(n_cells, n_labels))
    probabilities = softmax(logits, axis=1)
    codes = (probabilities.cumsum(axis=1) > rng.random((n_cells, 1))).argmax(axis=1)
    return softmax(logits * temperature, axis=1), codes


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_fit_finds_a_known_temperature(temperature):
    shares, codes = shares_of(20_000, 4, 0, temperature)
    exponent, floor = fit(shares, codes)
    assert exponent == pytest.approx(1 / temperature, rel=0.06)
    calibrated = calibrated_shares(shares, exponent, floor)
    curve = sp.metrics.reliability_curve(calibrated.max(axis=1), calibrated.argmax(axis=1) == codes)
    assert curve.attrs["calibration_error"] < 0.02


def test_the_fit_is_the_minimum_over_exponents():
    shares, codes = shares_of(3000, 3, 1, 2.0)
    exponent, floor = fit(shares, codes)

    def loss(a):
        powers = (shares + floor) ** a
        return -np.log(powers[np.arange(3000), codes] / powers.sum(axis=1)).mean()

    assert minimize_scalar(loss, bounds=(0.05, 5), method="bounded").x == pytest.approx(exponent, rel=1e-2)


@given(st.integers(1, 30), st.integers(1, 6), st.floats(0.05, 20), st.floats(1e-4, 1), st.integers(0, 2**32 - 1))
def test_order_is_kept_and_rows_are_probabilities(n_cells, n_labels, exponent, floor, rng):
    shares = np.random.default_rng(rng).dirichlet(np.full(n_labels, 0.3), n_cells)
    shares[0] = 0  # no neighbour with a label
    probabilities = calibrated_shares(shares, exponent, floor)
    np.testing.assert_allclose(probabilities[1:].sum(axis=1), 1)
    assert (probabilities[0] == 0).all()
    assert (probabilities >= 0).all()
    rows = np.arange(1, n_cells)
    assert (probabilities[rows, shares[rows].argmax(axis=1)] >= probabilities[rows].max(axis=1) * (1 - 1e-12)).all()
