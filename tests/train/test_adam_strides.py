"""Strides of Adam against torch's Adam."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scarches_plus.train import AdamStrides, stride_lengths


@pytest.mark.parametrize("weight_decay", [0.0, 0.04])
def test_single_steps_are_adam(weight_decay):
    torch.manual_seed(0)
    theirs = torch.randn(3, 4, requires_grad=True)
    ours = theirs.detach().clone()
    adam = torch.optim.Adam([theirs], lr=0.01, eps=0.01, weight_decay=weight_decay)
    strides = AdamStrides([ours], lr=0.01, eps=0.01, weight_decay=weight_decay)
    for _ in range(20):
        gradient = torch.randn(3, 4)
        theirs.grad = gradient.clone()
        adam.step()
        strides.stride([gradient], [0.0], 1)
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-7)
    assert strides.n_steps == 20


def test_a_stride_leaves_the_averages_of_equal_steps():
    """After a constant gradient, long or short strides have averaged the same; only then can the next step agree."""
    gradient, last = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 1.0])
    ends = []
    for lengths in ([1] * 12, [12], [5, 7]):
        parameter = torch.zeros(2)
        strides = AdamStrides([parameter], lr=0.01)
        for length in lengths:
            strides.stride([gradient], [0.0], length)
        before = parameter.clone()
        strides.stride([last], [0.0], 1)
        ends.append(parameter - before)
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=0)
    torch.testing.assert_close(ends[0], ends[2], rtol=1e-5, atol=0)


def noisy_paths(n_steps, spread, curvature, seeds):
    """Adam on minibatch gradients of a quadratic, as torch runs it; mean over seeds."""
    ends = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        parameter = torch.tensor([2.0, 2.0], requires_grad=True)
        adam = torch.optim.Adam([parameter], lr=1e-3, eps=0.01)
        for _ in range(n_steps):
            noise = spread * torch.randn(2, generator=generator)
            parameter.grad = curvature * parameter.detach() + noise
            adam.step()
        ends.append(parameter.detach())
    return torch.stack(ends)


def test_follows_adam_where_gradients_are_noisy():
    spread, curvature, n_steps = torch.tensor([0.0, 8.0]), torch.tensor([1.0, 1.0]), 800
    ends = noisy_paths(n_steps, spread, curvature, seeds=40)

    def stride_end(variance):
        parameter = torch.tensor([2.0, 2.0])
        strides = AdamStrides([parameter], lr=1e-3, eps=0.01)
        for length in stride_lengths(n_steps, 20, 10):
            strides.stride([curvature * parameter], [variance], length)
        return parameter

    error = 3 * ends.std(0) / np.sqrt(len(ends)) + 0.02
    assert (abs(stride_end(spread.square()) - ends.mean(0)) < error).all()
    # without the variance, Adam would not have slowed down
    assert abs(stride_end(torch.zeros(2)) - ends.mean(0))[1] > 10 * error[1]


@given(st.integers(1, 50_000), st.integers(1, 200), st.integers(1, 200), st.floats(0.05, 1.0))
def test_lengths_divide_the_steps(n_steps, longest, fewest, tail):
    lengths = stride_lengths(n_steps, longest, fewest, tail=tail)
    assert sum(lengths) == n_steps
    assert min(lengths) >= 1
    assert max(lengths) <= longest + 1
    assert len(lengths) >= min(n_steps, fewest) * 0.5
    settled = lengths[int(len(lengths) * (1 - tail)) + 1 :]
    assert all(later <= earlier + 1 for earlier, later in pairwise(settled))


def test_one_by_one_if_asked():
    assert stride_lengths(7, longest=1, fewest=1) == [1] * 7
