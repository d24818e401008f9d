"""The last layer with its likelihood, against scvi-tools' distributions and automatic differentiation."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scvi.distributions import NegativeBinomial, ZeroInflatedNegativeBinomial

from scarches_plus.module._likelihoods import _count_head
from scarches_plus.module._likelihoods._count_head import CountHead

N_HIDDEN = 6


def case(*, n_cells=9, n_genes=14, inflated=True, n_groups=1, masked=False, seed=0, scale=1.0, rate=1.5):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    layer = normal(n_genes, N_HIDDEN) * scale, normal(n_genes) * scale
    zero_layer = (normal(n_genes, N_HIDDEN) * scale, normal(n_genes) * scale) if inflated else ()
    theta = (normal(n_groups, n_genes) * min(scale, 1.5)).exp()
    counts = torch.poisson(torch.full((n_cells, n_genes), rate, dtype=torch.float64), generator=generator)
    counts[:, 0] += 1
    group = torch.randint(n_groups, (n_cells,), generator=generator)
    measured = torch.rand(n_cells, n_genes, generator=generator) < 0.7 if masked else None
    return layer, theta, zero_layer, normal(n_cells, N_HIDDEN), counts, counts.sum(1, keepdim=True), group, measured


def ordinary(layer, theta, zero_layer, hidden, counts, size, group, measured):
    mean = size * torch.softmax(hidden @ layer[0].t() + layer[1], dim=1)
    if zero_layer:
        logits = hidden @ zero_layer[0].t() + zero_layer[1]
        likelihood = ZeroInflatedNegativeBinomial(mu=mean, theta=theta[group], zi_logits=logits)
        # scvi-tools forms its mask in float32
        value = likelihood.log_prob(counts)
    else:
        value = NegativeBinomial(mu=mean, theta=theta[group]).log_prob(counts)
    return (value if measured is None else value.masked_fill(~measured, 0.0)).sum(1)


def reduced(layer, theta, zero_layer, hidden, counts, size, group, measured):
    head = CountHead(*layer, theta, *zero_layer)
    cell, gene = torch.nonzero(counts, as_tuple=True)
    terms = head.constant(counts[cell, gene], gene, group[cell])
    if measured is not None:
        terms = terms * measured[cell, gene]
    constant = counts.new_zeros(len(counts)).index_add(0, cell, terms)
    return head.log_likelihood(hidden, counts, size, group, measured) + constant


def value_and_gradient(function, arguments):
    arguments = list(arguments)
    arguments[3] = arguments[3].clone().requires_grad_()
    value = function(*arguments)
    weights = torch.linspace(1, 2, len(value), dtype=value.dtype)  # cells may count differently
    (gradient,) = torch.autograd.grad((weights * value).sum(), arguments[3])
    return value.detach(), gradient


@pytest.mark.parametrize("inflated", [False, True], ids=["NB", "ZINB"])
@pytest.mark.parametrize("n_groups", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_is_the_likelihood_of_scvi_tools(inflated, n_groups, masked):
    arguments = case(inflated=inflated, n_groups=n_groups, masked=masked)
    value, gradient = value_and_gradient(reduced, arguments)
    expected, expected_gradient = value_and_gradient(ordinary, arguments)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("inflated", [False, True], ids=["NB", "ZINB"])
def test_gradient_is_that_of_finite_differences(inflated):
    layer, theta, zero_layer, hidden, *rest = case(inflated=inflated)
    head = CountHead(*layer, theta, *zero_layer)
    assert torch.autograd.gradcheck(lambda h: head.log_likelihood(h, *rest), hidden.requires_grad_())


def single(part):
    if isinstance(part, tuple):
        return tuple(single(tensor) for tensor in part)
    return part.float() if torch.is_tensor(part) and part.is_floating_point() else part


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6), scale=st.sampled_from([0.1, 1.0, 3.0, 5.0]), rate=st.sampled_from([0.05, 1.0, 300.0]),
    inflated=st.booleans(),
)  # fmt: skip
def test_extreme_parameters_give_what_scvi_tools_gives(seed, scale, rate, inflated):
    """In float32, where probabilities vanish."""
    arguments = case(seed=seed, scale=scale, rate=rate, inflated=inflated)
    exact = value_and_gradient(ordinary, arguments)
    value, gradient = value_and_gradient(reduced, [single(part) for part in arguments])
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    torch.testing.assert_close(value.double(), exact[0], rtol=1e-3, atol=1e-2)
    size = exact[1].abs().max()
    torch.testing.assert_close(gradient.double(), exact[1], rtol=1e-2, atol=float(2e-3 * size + 1e-3))


@pytest.mark.parametrize("values", [1, 30, 2**17])
def test_chunks_do_not_matter(monkeypatch, values):
    arguments = case(n_groups=2, masked=True)
    expected = value_and_gradient(reduced, arguments)
    monkeypatch.setattr(_count_head, "_CACHED_VALUES", values)
    for ours, theirs in zip(value_and_gradient(reduced, arguments), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("inflated", [False, True], ids=["NB", "ZINB"])
def test_a_cell_without_counts_has_no_gradient(inflated):
    layer, theta, zero_layer, hidden, counts, _, group, measured = case(inflated=inflated)
    counts[2] = 0
    arguments = layer, theta, zero_layer, hidden, counts, counts.sum(1, keepdim=True), group, measured
    value, gradient = value_and_gradient(reduced, arguments)
    expected, expected_gradient = value_and_gradient(ordinary, arguments)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-8)


def test_workers_change_nothing():
    arguments = case(n_cells=40)
    with ThreadPoolExecutor(3) as workers, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_count_head, "_CACHED_VALUES", 30)
        head = CountHead(*arguments[0], arguments[1], *arguments[2], workers=workers)
        alone = CountHead(*arguments[0], arguments[1], *arguments[2])
        for ours, theirs in zip(
            head.value_and_gradient(*arguments[3:]), alone.value_and_gradient(*arguments[3:]), strict=True
        ):
            assert torch.equal(ours, theirs)


def test_nothing_of_one_call_is_left_in_the_next():
    arguments = case(n_cells=9)
    head = CountHead(*arguments[0], arguments[1], *arguments[2])
    first = head.value_and_gradient(*arguments[3:])
    other = case(n_cells=5, seed=1)
    head.value_and_gradient(*other[3:])
    for again, before in zip(head.value_and_gradient(*arguments[3:]), first, strict=True):
        assert torch.equal(again, before)
