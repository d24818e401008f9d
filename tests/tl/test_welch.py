"""Means, variances and Welch's t equal numpy and scipy, gene by gene."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ttest_ind, ttest_ind_from_stats

from scarches_plus.tl._groups._welch import mean_and_variance, welch

values = arrays(np.float64, st.tuples(st.integers(2, 8), st.just(4)), elements=st.integers(0, 40).map(lambda x: x / 8))


def moments(cells):
    n = np.array([len(cells)])
    mean, variance = mean_and_variance(cells.sum(0, keepdims=True), (cells**2).sum(0, keepdims=True), n)
    return mean[0], variance[0], n


@settings(max_examples=60, deadline=None)
@given(cells=values)
def test_mean_and_variance(cells):
    mean, variance, _ = moments(cells)
    np.testing.assert_allclose(mean, cells.mean(0))
    np.testing.assert_allclose(variance, cells.var(0, ddof=1), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(first=values, second=values, factor=st.sampled_from([1.0, 10.0]))
def test_equals_scipy_from_the_same_statistics(first, second, factor):
    (m, v, n), (m0, v0, n0) = moments(first), moments(second)
    t, p = welch((m, v, n), (m0, factor**2 * v0, n0))
    for gene in range(4):
        s, s0 = first[:, gene].std(ddof=1), second[:, gene].std(ddof=1)
        if s == s0 == 0:
            assert (t[gene], p[gene]) == (0, 1)
            continue
        theirs = ttest_ind_from_stats(m[gene], s, len(first), m0[gene], factor * s0, len(second), equal_var=False)
        np.testing.assert_allclose([t[gene], p[gene]], [theirs.statistic, theirs.pvalue], rtol=1e-6, atol=1e-12)


def test_equals_scipy_from_the_same_cells():
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 2, (30, 4)), rng.normal(0, 1, (50, 4))
    t, p = welch(moments(first), moments(second))
    theirs = ttest_ind(first, second, equal_var=False)
    np.testing.assert_allclose(t, theirs.statistic)
    np.testing.assert_allclose(p, theirs.pvalue)


def test_the_variance_of_a_constant_is_zero_despite_rounding():
    cells = np.full((7, 4), np.log1p(1e4 / 3))
    assert cells.var(0, ddof=1).max() < 1e-20
    np.testing.assert_array_equal(moments(cells)[1], 0)


def test_one_cell_has_no_variance():
    assert np.isnan(moments(np.ones((1, 4)))[1]).all()


def test_antisymmetric():
    rng = np.random.default_rng(0)
    first, second = moments(rng.random((9, 4))), moments(rng.random((5, 4)))
    t, p = welch(first, second)
    back = welch(second, first)
    np.testing.assert_allclose(t, -back[0])
    np.testing.assert_allclose(p, back[1])
