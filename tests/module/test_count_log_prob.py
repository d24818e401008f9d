"""The closed form against scvi-tools' own distributions and against finite differences."""

import pytest
import torch
from scvi.distributions import NegativeBinomial, ZeroInflatedNegativeBinomial

from scarches_plus.module._likelihoods._count_log_prob import count_log_prob

LIKELIHOODS = ["nb", "zinb"]


def cells(likelihood, dtype, *, shared, n_cells=7, n_genes=11, seed=0):
    torch.manual_seed(seed)
    shape = (n_cells, n_genes)
    mean = torch.exp(torch.randn(shape, dtype=dtype) * 2)
    dispersion = torch.exp(torch.randn(n_genes if shared else shape, dtype=dtype))
    logits = torch.randn(shape, dtype=dtype) * 3 if likelihood == "zinb" else None
    counts = torch.poisson(mean * torch.rand(shape, dtype=dtype).round())
    return counts, mean, dispersion, logits


def stock(counts, mean, dispersion, logits):
    if logits is None:
        return NegativeBinomial(mu=mean, theta=dispersion).log_prob(counts)
    return ZeroInflatedNegativeBinomial(mu=mean, theta=dispersion, zi_logits=logits).log_prob(counts)


def ours(counts, mean, dispersion, logits):
    return count_log_prob(counts, mean, dispersion.expand_as(mean), logits)


def with_gradients(function, counts, *parameters):
    parameters = [None if p is None else p.clone().requires_grad_() for p in parameters]
    value = function(counts, *parameters)
    weights = torch.linspace(0.5, 2, value.numel(), dtype=value.dtype).view_as(value)
    (value * weights).sum().backward()
    return [value.detach(), *(p.grad for p in parameters if p is not None)]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("shared", [True, False])
def test_value_and_gradients_are_those_of_scvi_tools(likelihood, shared):
    given = cells(likelihood, torch.float64, shared=shared, n_cells=40, n_genes=60)
    for mine, theirs in zip(with_gradients(ours, *given), with_gradients(stock, *given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("shared", [True, False])
def test_single_precision_loses_no_more_than_scvi_tools_does(likelihood, shared):
    """Log-gamma functions of large counts cost both a few digits."""
    given = cells(likelihood, torch.float32, shared=shared, n_cells=200, n_genes=200)
    exact = with_gradients(stock, *(None if tensor is None else tensor.double() for tensor in given))
    for mine, theirs, truth in zip(with_gradients(ours, *given), with_gradients(stock, *given), exact, strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype == torch.float32
        scale = truth.abs() + 1
        for size in (torch.mean, torch.max):
            assert size((mine - truth).abs() / scale) < 4 * size((theirs - truth).abs() / scale) + 1e-6


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("shared", [True, False])
def test_gradient_is_that_of_the_value(likelihood, shared):
    counts, *parameters = cells(likelihood, torch.float64, shared=shared)
    parameters = [p.requires_grad_() for p in parameters if p is not None]

    def function(mean, dispersion, logits=None):
        return ours(counts, mean, dispersion, logits)

    assert torch.autograd.gradcheck(function, parameters, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("logit", [-300.0, -90.0, -40.0, 40.0, 90.0, 300.0])
@pytest.mark.parametrize("mean", [1e-30, 0.0, 1.0, 1e4])
def test_extremes_are_finite_and_right(logit, mean):
    counts = torch.tensor([[0.0, 1.0, 500.0]])
    given = counts, torch.full((1, 3), mean), torch.tensor([1e-4, 1.0, 1e4]), torch.full((1, 3), logit)
    for mine, theirs in zip(with_gradients(ours, *given), with_gradients(stock, *given), strict=True):
        assert torch.isfinite(mine).all()
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_no_counts_at_all(likelihood):
    _, *parameters = cells(likelihood, torch.float32, shared=True)
    given = torch.zeros(7, 11), *parameters
    for mine, theirs in zip(with_gradients(ours, *given), with_gradients(stock, *given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_only_the_gradients_that_are_asked_for():
    counts, mean, dispersion, logits = cells("zinb", torch.float32, shared=True)
    assert not ours(counts, mean, dispersion, logits).requires_grad
    ours(counts, mean.requires_grad_(), dispersion, logits).sum().backward()
    assert mean.grad is not None
    assert dispersion.grad is None
    assert logits.grad is None


def test_a_graph_can_be_walked_twice():
    counts, mean, dispersion, _ = cells("nb", torch.float32, shared=True)
    value = ours(counts, mean.requires_grad_(), dispersion, None).sum()
    first, second = (torch.autograd.grad(value, mean, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_leaves_its_arguments():
    given = cells("zinb", torch.float32, shared=False)
    before = [tensor.clone() for tensor in given]
    with_gradients(ours, *given)
    assert all(torch.equal(*pair) for pair in zip(before, given, strict=True))


def test_what_is_no_number_is_no_zero():
    counts = torch.tensor([[0.0, torch.nan, 2.0]])
    mean, dispersion = torch.ones(1, 3), torch.ones(1, 3)
    assert torch.isnan(count_log_prob(counts, mean, dispersion)).tolist() == [[False, True, False]]
    assert torch.isnan(count_log_prob(counts, mean, dispersion, torch.zeros(1, 3))).tolist() == [[False, True, False]]
