"""Likelihoods gene by gene, and sums that further columns do not change."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scvi.distributions import NegativeBinomial, ZeroInflatedNegativeBinomial

from scarches_plus.module._layers._summed_in_parts import sum_of_parts
from scarches_plus.module._likelihoods import _count_head
from scarches_plus.module._likelihoods._count_head import CountHead
from scarches_plus.module._likelihoods._count_log_prob import count_log_prob
from scarches_plus.module._likelihoods._gene_mask import MeasuredGenes
from scarches_plus.module._likelihoods._log_gamma import log_gamma_and_slope
from scarches_plus.module._likelihoods._squared_error import SquaredError, normalized_counts
from scarches_plus.module._likelihoods._trained_head import constant_terms, head_log_likelihood

# --- Log-gamma and digamma functions against scipy's ---


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 5e-8), (torch.float32, 2e-6)])
def test_as_scipy_from_tiny_to_huge(dtype, tolerance):
    y = torch.exp(torch.linspace(-18, 40, 5001, dtype=torch.float64)).to(dtype)
    value, slope = log_gamma_and_slope(y)
    exact = y.double().numpy()
    np.testing.assert_allclose(value.double(), scipy.special.gammaln(exact), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(slope.double(), scipy.special.digamma(exact), rtol=tolerance, atol=tolerance)


def test_leaves_its_argument():
    y = torch.tensor([0.5, 3.0])
    log_gamma_and_slope(y)
    assert y.tolist() == [0.5, 3.0]


# --- The closed form against scvi-tools' own distributions and against finite differences ---


LIKELIHOODS = ["nb", "zinb"]


def count_cells(likelihood, dtype, *, shared, n_cells=7, n_genes=11, seed=0):
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
    given = count_cells(likelihood, torch.float64, shared=shared, n_cells=40, n_genes=60)
    for mine, theirs in zip(with_gradients(ours, *given), with_gradients(stock, *given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("shared", [True, False])
def test_single_precision_loses_no_more_than_scvi_tools_does(likelihood, shared):
    """Log-gamma functions of large counts cost both a few digits."""
    given = count_cells(likelihood, torch.float32, shared=shared, n_cells=200, n_genes=200)
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
    counts, *parameters = count_cells(likelihood, torch.float64, shared=shared)
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
    _, *parameters = count_cells(likelihood, torch.float32, shared=True)
    given = torch.zeros(7, 11), *parameters
    for mine, theirs in zip(with_gradients(ours, *given), with_gradients(stock, *given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_only_the_gradients_that_are_asked_for():
    counts, mean, dispersion, logits = count_cells("zinb", torch.float32, shared=True)
    assert not ours(counts, mean, dispersion, logits).requires_grad
    ours(counts, mean.requires_grad_(), dispersion, logits).sum().backward()
    assert mean.grad is not None
    assert dispersion.grad is None
    assert logits.grad is None


def test_a_graph_can_be_walked_twice():
    counts, mean, dispersion, _ = count_cells("nb", torch.float32, shared=True)
    value = ours(counts, mean.requires_grad_(), dispersion, None).sum()
    first, second = (torch.autograd.grad(value, mean, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_leaves_its_arguments():
    given = count_cells("zinb", torch.float32, shared=False)
    before = [tensor.clone() for tensor in given]
    with_gradients(ours, *given)
    assert all(torch.equal(*pair) for pair in zip(before, given, strict=True))


def test_what_is_no_number_is_no_zero():
    counts = torch.tensor([[0.0, torch.nan, 2.0]])
    mean, dispersion = torch.ones(1, 3), torch.ones(1, 3)
    assert torch.isnan(count_log_prob(counts, mean, dispersion)).tolist() == [[False, True, False]]
    assert torch.isnan(count_log_prob(counts, mean, dispersion, torch.zeros(1, 3))).tolist() == [[False, True, False]]


# --- The last layer with its likelihood, against scvi-tools' distributions and automatic differentiation ---


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


# --- The same where the last layer trains, with every gradient ---


def trained(layer, theta, zero_layer, hidden, counts, size, group, measured):
    group = None if len(theta) == 1 else group
    return head_log_likelihood(hidden, layer, theta, zero_layer, counts, size=size, group=group, measured=measured)


def all_gradients(function, arguments):
    layer, theta, zero_layer, hidden, *rest = arguments
    layer, zero_layer = (tuple(part.clone().requires_grad_() for part in parts) for parts in (layer, zero_layer))
    theta, hidden = theta.clone().requires_grad_(), hidden.clone().requires_grad_()
    value = function(layer, theta, zero_layer, hidden, *rest)
    weights = torch.linspace(1, 2, len(value), dtype=value.dtype)  # cells may count differently
    return value.detach(), *torch.autograd.grad((weights * value).sum(), [*layer, theta, *zero_layer, hidden])


@pytest.mark.parametrize("inflated", [False, True], ids=["NB", "ZINB"])
@pytest.mark.parametrize("n_groups", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_the_last_layer_are_those_of_scvi_tools(inflated, n_groups, masked):
    arguments = case(inflated=inflated, n_groups=n_groups, masked=masked)
    for mine, expected in zip(all_gradients(trained, arguments), all_gradients(ordinary, arguments), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6), scale=st.sampled_from([0.1, 1.0, 3.0, 5.0]), rate=st.sampled_from([0.05, 1.0, 300.0]),
    inflated=st.booleans(),
)  # fmt: skip
def test_extreme_parameters_of_the_last_layer(seed, scale, rate, inflated):
    """In float32, where probabilities vanish."""
    arguments = case(seed=seed, scale=scale, rate=rate, inflated=inflated)
    exact = all_gradients(ordinary, arguments)
    for mine, expected in zip(all_gradients(trained, [single(part) for part in arguments]), exact, strict=True):
        assert torch.isfinite(mine).all()
        size = expected.abs().max()
        torch.testing.assert_close(mine.double(), expected, rtol=1e-2, atol=float(2e-3 * size + 1e-2))


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n_groups", [1, 3])
def test_constant_terms_add_up_to_the_likelihood(trains, masked, n_groups):
    layer, theta, zero_layer, hidden, counts, size, group, measured = case(masked=masked, n_groups=n_groups)
    group = None if n_groups == 1 else group
    constant = constant_terms(counts, theta, group, measured, trains=trains)

    def value(**given):
        given |= {"size": size, "group": group, "measured": measured}
        return head_log_likelihood(hidden, layer, theta, zero_layer, counts, **given)

    torch.testing.assert_close(value(constant=constant, trains=trains), value())
    torch.testing.assert_close(value(trains=trains), value())


# --- Squared errors of normalised expression against numpy ---


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
    ours = normalized_counts(torch.tensor(counts), TARGET).numpy()
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


# --- Genes that were not measured ---


def test_log_prob_is_zero_where_unmeasured():
    torch.manual_seed(0)
    px = NegativeBinomial(mu=torch.rand(6, 4) * 5, theta=torch.ones(4))
    measured = torch.rand(6, 4) > 0.5
    x = px.sample()
    masked = MeasuredGenes(px, measured)
    for cell in range(6):
        for gene in range(4):
            expected = px.log_prob(x)[cell, gene] if measured[cell, gene] else torch.tensor(0.0)
            assert masked.log_prob(x)[cell, gene] == expected
    assert masked.mean is px.mean
    assert masked.sample().shape == (6, 4)


def test_a_mask_can_be_copied():
    px = NegativeBinomial(mu=torch.ones(2, 3), theta=torch.ones(3))
    masked = copy.copy(MeasuredGenes(px, torch.tensor([[True, False, True]] * 2)))
    assert (masked.log_prob(torch.ones(2, 3))[:, 1] == 0).all()


# --- Sums in parts ---


def test_further_columns_change_no_sum():
    """A plain product of matrices fails this."""
    generator, plain = torch.Generator().manual_seed(0), 0
    for n_rows, n_out, n_features, n_conditions in product(
        (1, 5, 100), (10, 64, 128), (1, 12, 64, 128, 2000), (1, 2, 7)
    ):
        x, w, b = (
            torch.randn(*shape, generator=generator)
            for shape in ((n_rows, n_features), (n_out, n_features + n_conditions), (n_out,))
        )
        hot = torch.nn.functional.one_hot(torch.arange(n_rows) % n_conditions, n_conditions)
        wider = torch.nn.functional.pad(hot, (0, 2))
        more = torch.cat([w, torch.randn(n_out, 2, generator=generator)], dim=1)
        few = sum_of_parts(torch.cat([x, hot], 1), w, b, (n_features, n_conditions))
        many = sum_of_parts(torch.cat([x, wider], 1), more, b, (n_features, n_conditions + 2))
        assert torch.equal(few, many)
        torch.testing.assert_close(few, torch.nn.functional.linear(torch.cat([x, hot], 1), w, b), atol=1e-4, rtol=1e-4)
        plain += not torch.equal(
            *(
                torch.nn.functional.linear(torch.cat([x, one], 1), weights, b)
                for one, weights in ((hot, w), (wider, more))
            )
        )
    assert plain, "on this machine a plain product would do"
