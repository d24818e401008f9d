"""Squared errors of normalised expression against numpy."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scarches_plus.module._likelihoods._squared_error import SquaredError, scaled

TARGET = torch.tensor(1e4)


def expression(counts):
    return np.log1p(1e4 * counts / counts.sum(1, keepdims=True))


def example(n_cells=6, n_genes=5, **kwargs):
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (n_cells, n_genes)) + 1.0
    mean = rng.random((n_cells, n_genes)) * 8
    size = torch.tensor(counts.sum(1, keepdims=True))
    return counts, mean, SquaredError(torch.tensor(mean), size, TARGET, **kwargs)


@given(arrays(np.float64, (4, 7), elements=st.integers(0, 10_000)))
def test_scaled_cells_add_up_to_the_target(counts):
    ours = scaled(torch.tensor(counts), TARGET).numpy()
    empty = counts.sum(1) == 0
    np.testing.assert_allclose(ours.sum(1), np.where(empty, 0, 1e4))
    np.testing.assert_allclose(np.log1p(ours[~empty]), expression(counts[~empty]))


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("weight", [1.0, 1000.0])
def test_error(averaged, weight):
    counts, mean, px = example(weight=weight, averaged=averaged)
    error = weight * (expression(counts) - mean) ** 2
    log_prob = px.log_prob(torch.tensor(counts))
    np.testing.assert_allclose(log_prob, -error / (5 if averaged else 1))
    np.testing.assert_allclose(log_prob.sum(-1), -(error.mean(1) if averaged else error.sum(1)))


@pytest.mark.parametrize("averaged", [False, True])
def test_error_of_measured_genes(averaged):
    counts, mean, px = example(weight=3.0, averaged=averaged)
    measured = np.random.default_rng(1).random(counts.shape) < 0.6
    measured[0] = False
    error = np.where(measured, 3 * (expression(counts) - mean) ** 2, 0)
    n_measured = np.maximum(measured.sum(1), 1) if averaged else 1
    log_prob = px.restricted_to(torch.tensor(measured)).log_prob(torch.tensor(counts))
    np.testing.assert_allclose(log_prob.sum(-1), -error.sum(1) / n_measured)
    assert (log_prob[~measured] == 0).all()
    assert (px.log_prob(torch.tensor(counts)) != 0).all()  # it is another object


def test_several_samples_of_a_cell():
    counts, mean, _ = example()
    means = torch.tensor(np.stack([mean, mean + 1, mean * 2]))
    px = SquaredError(means, torch.ones(3, 6, 1), TARGET, averaged=True)
    log_prob = px.log_prob(torch.tensor(counts))
    np.testing.assert_allclose(log_prob, -((expression(counts) - means.numpy()) ** 2) / 5)
    measured = torch.ones(6, 5, dtype=bool)
    torch.testing.assert_close(px.restricted_to(measured).log_prob(torch.tensor(counts)), log_prob)


def test_normalized():
    counts, mean, px = example()
    np.testing.assert_allclose(px.get_normalized("scale"), np.expm1(mean) / 1e4)
    np.testing.assert_allclose(px.get_normalized("mu"), np.expm1(mean) / 1e4 * counts.sum(1, keepdims=True))
    perfect = SquaredError(torch.tensor(expression(counts)), torch.tensor(counts.sum(1, keepdims=True)), TARGET)
    np.testing.assert_allclose(perfect.get_normalized("mu"), counts)
    with pytest.raises(ValueError, match="rate"):
        px.get_normalized("rate")


@pytest.mark.parametrize("name", ["theta", "mu", "scale", "sample", "arg_constraints", "variance"])
def test_is_no_distribution(name):
    with pytest.raises(AttributeError, match=f"have no {name}: .* no distribution of counts"):
        getattr(example()[2], name)


def test_can_be_copied():
    counts, _, px = example()
    for again in (copy.copy(px), pickle.loads(pickle.dumps(px))):  # noqa: S301
        assert torch.equal(again.log_prob(torch.tensor(counts)), px.log_prob(torch.tensor(counts)))
