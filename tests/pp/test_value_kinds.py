"""What values probably are: closed forms, and what must not change the verdict."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus.pp._checks._count_signs import expected_above_one, relative_variance, same_sum, whole_ratios
from scarches_plus.pp._checks._count_summary import summarize_counts

ONE = np.array([[1, 2, 0, 5], [0, 1, 1, 0], [3, 0, 0, 1]], dtype=float)


def counts(n_cells=60, n_genes=80, seed=0, mean=2.0, shape=0.7):
    """Negative binomial counts of cells of different depth."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 2 * mean, n_genes) * rng.lognormal(0, 0.4, (n_cells, 1))
    return rng.poisson(rates * rng.gamma(shape, 1 / shape, (n_cells, n_genes))).astype(float)


def told(values, batches=None):
    """Return the verdicts on all parts of a matrix, by batch."""
    batches = np.zeros(len(values), dtype=np.int64) if batches is None else batches
    summary = summarize_counts([sparse.csr_matrix(values)], None, batches)
    verdicts = {} if summary.signed is None else {(-1, True): summary.signed}
    return verdicts | summary.verdicts()


def kinds(values, batches=None):
    return {verdict.kind for verdict in told(values, batches).values()}


def normalized(values, target=1e4):
    return values / np.maximum(values.sum(axis=1, keepdims=True), 1) * target


def test_expected_values_above_one_in_closed_form():
    # 12 values in 4 cells of 3 genes, all 1: rates 3 * 4 / 12 = 1 each, and rate^2 / 2 summed over 12 pairs
    assert expected_above_one(sparse.csr_matrix(np.ones((4, 3)))) == pytest.approx(6)


def test_sums_of_cells_in_closed_form():
    cells = sparse.csr_matrix(normalized(ONE, 50.0))
    assert same_sum(cells, cells.data) is None  # three cells could agree by chance, and 50 is no usual number
    cells = sparse.csr_matrix(normalized(np.vstack([ONE, ONE]), 50.0))
    assert same_sum(cells, cells.data) == pytest.approx(50)
    assert same_sum(sparse.csr_matrix(normalized(ONE, 1e4)), normalized(ONE, 1e4)[ONE > 0]) == 1e4
    assert same_sum(sparse.csr_matrix(ONE), ONE[ONE > 0]) is None


def test_ratios_in_closed_form():
    values = np.outer([0.3, 1.7], np.arange(1, 12))
    factors, share = whole_ratios(sparse.csr_matrix(values), values.ravel())
    np.testing.assert_allclose(factors, [0.3, 1.7])
    assert share == 1.0


def test_the_variance_of_poisson_counts_is_one():
    rng = np.random.default_rng(0)
    poisson = rng.poisson(3.0, (2000, 40)).astype(float)
    assert relative_variance(sparse.csr_matrix(poisson)) is None  # large enough
    assert relative_variance(sparse.csr_matrix(np.rint(np.sqrt(4 * poisson)))) < 0.7
    assert relative_variance(sparse.csr_matrix(np.ones((50, 40)) * 3)) is None  # equal cells tell nothing


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda x: x, "counts"),
        (lambda x: np.log1p(normalized(x)), "logarithms"),
        (lambda x: np.log2(normalized(x, 1e6) + 1), "logarithms"),
        (lambda x: np.log1p(normalized(x))[:, ::3], "logarithms"),
        (np.sqrt, "compressed"),
        (lambda x: np.arcsinh(x / 5), "compressed"),
        (lambda x: normalized(x), "normalised"),
        (lambda x: normalized(x)[:, ::3], "normalised"),
        (lambda x: np.rint(normalized(x, 1e6)), "normalised"),
        (np.sign, "binarised"),
        (lambda x: 4 * x, "multiplied"),
        (lambda x: 0.37 * x, "rescaled"),
        (lambda x: np.rint(np.log2(normalized(x, 1e6) + 1)), "compressed"),
        (lambda x: np.argsort(np.argsort(x, axis=1), axis=1) + 1.0, "ranks"),
        (lambda x: (x - x.mean(0)) / np.maximum(x.std(0), 1e-9), "scaled"),
        (lambda x: np.log1p(x) - np.log1p(x).mean(), "residuals"),
    ],
)
def test_kinds(change, kind):
    assert kinds(change(counts())) == {kind}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n_cells=st.integers(1, 300), n_genes=st.integers(1, 300), seed=st.integers(0, 10**6), mean=st.floats(0.005, 30),
    shape=st.floats(0.3, 50),
)  # fmt: skip
def test_counts_are_never_called_something_else(n_cells, n_genes, seed, mean, shape):
    values = counts(n_cells, n_genes, seed, mean, shape)
    assert kinds(values) <= {"counts"}
    assert kinds(np.random.default_rng(seed).binomial(values.astype(int), 0.3).astype(float)) <= {"counts"}


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), change=st.sampled_from(["log1p", "sqrt", "cp10k", "counts"]))
def test_order_and_storage_do_not_matter(seed, change):
    rng = np.random.default_rng(seed)
    values = {
        "log1p": lambda x: np.log1p(normalized(x)), "sqrt": np.sqrt, "cp10k": normalized, "counts": lambda x: x
    }[change](counts(seed=seed))  # fmt: skip
    right = kinds(values)
    assert kinds(values[rng.permutation(len(values))][:, rng.permutation(values.shape[1])]) == right
    for matrix in (values, values.astype(np.float32), sparse.csr_matrix(values)):
        halves = [matrix[:17], matrix[17:]]
        summary = summarize_counts(halves, None, np.zeros(len(values), dtype=np.int64))
        assert {verdict.kind for verdict in summary.verdicts().values()} == right
    stored_zeros = sparse.csr_matrix(values + 1.0)
    stored_zeros.data -= 1.0
    stored_zeros.data[values.ravel() == 0] = 0
    stored_zeros.data[:] = values.ravel()
    summary = summarize_counts([stored_zeros], None, np.zeros(len(values), dtype=np.int64))
    assert {verdict.kind for verdict in summary.verdicts().values()} == right


def test_each_batch_is_judged_by_itself():
    values = counts(90)
    batches = np.repeat([0, 1, 2], 30)
    values[30:60] = np.sign(values[30:60])
    values[60:] = np.log1p(values[60:])
    found = {batch: verdict.kind for (batch, _), verdict in told(values, batches).items()}
    assert found == {0: "counts", 1: "binarised", 2: "logarithms"}


def test_empty_cells_and_genes_tell_nothing():
    values = counts(60)
    values[:20], values[:, :30] = 0, 0
    assert kinds(values) == {"counts"}
    assert kinds(np.zeros((5, 3))) == set()
    assert kinds(np.log1p(normalized(values))) == {"logarithms"}
