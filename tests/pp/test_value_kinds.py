"""What values probably are: closed forms, and what must not change the verdict."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus.pp._checks._count_signs import (
    expected_above_one,
    expected_below,
    relative_variance,
    same_sum,
    whole_ratios,
)
from scarches_plus.pp._checks._count_summary import summarize_counts

ONE = np.array([[1, 2, 0, 5], [0, 1, 1, 0], [3, 0, 0, 1]], dtype=float)


def counts(n_cells=60, n_genes=80, seed=0, mean=2.0, shape=0.7):
    """Negative binomial counts of cells of different depth."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 2 * mean, n_genes) * rng.lognormal(0, 0.4, (n_cells, 1))
    return rng.poisson(rates * rng.gamma(shape, 1 / shape, (n_cells, n_genes))).astype(float)


def tpm(values):
    return normalized(values / np.random.default_rng(1).lognormal(7.5, 0.8, values.shape[1]), 1e6)


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


def test_values_below_the_smallest_in_closed_form():
    values = np.repeat([2.0, 3.0, 4.0], [300, 150, 50])
    of_cells = np.resize(values, (10, 50))
    assert expected_below(sparse.csr_matrix(of_cells), 2) == pytest.approx(2 / 3 * 300**2 / 150)
    assert expected_below(sparse.csr_matrix(of_cells - 1), 1) == pytest.approx(1 / 2 * 300**2 / 150)
    assert expected_below(sparse.csr_matrix(np.where(np.eye(10, 50), 0, of_cells - 1)), 1) == 0  # there are zeros
    assert expected_below(sparse.csr_matrix(of_cells[:2]), 2) == pytest.approx(2 / 3 * 100**2)
    assert expected_below(sparse.csr_matrix(of_cells[:2, 1:]), 2) == 0  # 98 are too few
    assert expected_below(sparse.csr_matrix(of_cells.reshape(50, 10)), 2) == 0  # 10 genes are


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), smallest=st.integers(1, 6), shape=st.floats(0.2, 50), mean=st.floats(0.5, 20))
def test_counts_have_as_many_values_below_as_are_expected(seed, smallest, shape, mean):
    values = counts(200, 200, seed, mean, shape)
    n_left_out = int((values == smallest - 1).sum())
    kept = sparse.csr_matrix(np.where(values >= smallest, values, 0))
    kept.eliminate_zeros()
    if smallest == 1:  # nothing is 0
        kept = sparse.csr_matrix(kept.data[: kept.nnz // 200 * 200].reshape(-1, 200))
    assert expected_below(kept, smallest) <= 1.3 * n_left_out + 30


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
        (lambda x: x + 1, "shifted"),
        (lambda x: x + 0.5, "shifted"),
        (lambda x: np.where(x > 0, x + 1, 0), "cut off"),
        (lambda x: np.where(x > 2, x, 0), "cut off"),
        (lambda x: x * np.random.default_rng(0).integers(1, 6, x.shape[1]), "normalised"),
        (tpm, "normalised"),
        (lambda x: np.rint(tpm(x)), "normalised"),
        (lambda x: np.sort(x).mean(axis=0)[x.argsort().argsort()], "normalised"),
    ],
)
def test_kinds(change, kind):
    assert kinds(change(counts())) == {kind}


@pytest.mark.parametrize("change", [lambda x: x, np.rint], ids=["as they are", "rounded"])
def test_small_values_are_lacking_in_tpm_of_some_genes(change):
    some = change(tpm(counts(60, 600))[:, ::3])
    (verdict,) = told(some).values()
    assert "TPM or FPKM" in verdict.what
    low = np.median([cell[cell > 0].min() for cell in some])
    assert f"smallest value of the median cell is {low:,.0f}," in verdict.figure


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


def test_constant_genes_tell_nothing():
    values = counts(60)
    values[:, :40] = np.resize([2, 4], 40)
    assert kinds(values) == {"counts"}


def test_empty_cells_and_genes_tell_nothing():
    values = counts(60)
    values[:20], values[:, :30] = 0, 0
    assert kinds(values) == {"counts"}
    assert kinds(np.zeros((5, 3))) == set()
    assert kinds(np.log1p(normalized(values))) == {"logarithms"}
