"""Normalised expression and its sums equal dense numpy, and scanpy."""

import anndata
import numpy as np
import pytest
import scanpy as sc
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus.tl._groups._expression_sums import grouped_sums, log_normalized


def blocks_of(counts, rows):
    return [counts[start : start + rows] for start in range(0, counts.shape[0], rows)]


@pytest.mark.filterwarnings("ignore:Some cells have zero counts")
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_normalisation_is_scanpy_s(convert, dtype):
    X = np.random.default_rng(0).poisson(0.5, (40, 12)).astype(dtype)
    X[3] = 0
    theirs = anndata.AnnData(X.astype(np.float64))
    sc.pp.normalize_total(theirs, target_sum=1e4)
    sc.pp.log1p(theirs)
    counts = convert(X)
    ours = sparse.vstack(list(log_normalized([counts[:25], counts[25:]])))
    np.testing.assert_allclose(ours.toarray(), theirs.X, rtol=1e-6)
    np.testing.assert_array_equal(counts.toarray() if sparse.issparse(counts) else counts, X)  # left alone


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 30), rows=st.integers(1, 31), seed=st.integers(0, 999), dense=st.booleans())
def test_grouped_sums_equal_a_loop(n, rows, seed, dense):
    rng = np.random.default_rng(seed)
    X, codes = rng.poisson(1.0, (n, 5)), rng.integers(-1, 3, n)
    blocks = blocks_of(X if dense else sparse.csr_matrix(X), rows)
    sums, squares = grouped_sums(blocks, codes, 3, 5)
    for group in range(3):
        np.testing.assert_allclose(sums[group], X[codes == group].sum(axis=0))
        np.testing.assert_allclose(squares[group], (X[codes == group] ** 2).sum(axis=0))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_values_that_are_no_counts(bad):
    with pytest.raises(ValueError, match="raw counts with `layer=`"):
        list(log_normalized([np.ones((2, 2)), np.array([[1.0, bad]])]))
