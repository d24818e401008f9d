from fractions import Fraction
from math import floor

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from scarches_plus.pp import normalize_gene_length

GENES = [f"g{i}" for i in range(5)]
LENGTHS = np.array([500.0, 1500.0, 3000.0, 1000.0, 4000.0])


def reads(storage=np.asarray, dtype=np.float32):
    counts = np.random.default_rng(0).poisson(2.0, (20, 5)).astype(dtype)
    obs = pd.DataFrame({"x": 0}, index=[f"c{i}" for i in range(20)])
    return AnnData(X=storage(counts), obs=obs, var=pd.DataFrame({"x": 0}, index=GENES))


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def by_hand(counts, lengths):
    """The paper's sentence, gene by gene in exact arithmetic."""
    lengths = [Fraction(float(length)) for length in lengths]
    average = sum(lengths) / len(lengths)
    out = np.zeros(counts.shape)
    for cell in range(counts.shape[0]):
        for gene in range(counts.shape[1]):
            out[cell, gene] = floor(Fraction(float(counts[cell, gene])) / (lengths[gene] / average))
    return out


@pytest.mark.parametrize("storage", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_is_what_the_paper_says(storage, dtype):
    adata = reads(storage, dtype)
    expected = by_hand(dense(adata.X), LENGTHS)
    assert normalize_gene_length(adata, LENGTHS) is None
    assert sparse.issparse(adata.X) == sparse.issparse(storage(np.eye(2)))
    assert adata.X.dtype == dtype
    np.testing.assert_array_equal(dense(adata.X), expected)
    if sparse.issparse(adata.X):
        assert (adata.X.data != 0).all()


@given(
    counts=hnp.arrays(np.int64, (4, 5), elements=st.integers(0, 10**6)),
    lengths=st.lists(st.integers(1, 200_000), min_size=5, max_size=5),
)
def test_whole_lengths_give_exact_results(counts, lengths):
    adata = AnnData(X=sparse.csr_matrix(counts), var=pd.DataFrame({"x": 0}, index=GENES))
    normalize_gene_length(adata, lengths)
    np.testing.assert_array_equal(adata.X.toarray(), by_hand(counts, lengths))


@given(
    counts=hnp.arrays(np.float64, (4, 5), elements=st.integers(0, 10**6)),
    length=st.floats(1e-3, 1e6),
)
def test_equal_lengths_change_nothing(counts, length):
    adata = AnnData(X=counts.copy(), var=pd.DataFrame({"x": 0}, index=GENES))
    normalize_gene_length(adata, [length] * 5)
    np.testing.assert_array_equal(adata.X, counts)


@given(unit=st.floats(1e-3, 1e3))
def test_the_unit_of_length_does_not_matter(unit):
    adata, other = reads(), reads()
    normalize_gene_length(adata, LENGTHS)
    normalize_gene_length(other, LENGTHS * unit)
    np.testing.assert_array_equal(adata.X, other.X)


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_lengths_by_name(kind):
    adata, expected = reads(), reads()
    shuffled = [3, 0, 4, 1, 2]
    lengths = {"not in adata": 7.0} | {GENES[i]: LENGTHS[i] for i in shuffled}
    normalize_gene_length(adata, kind(lengths))
    normalize_gene_length(expected, LENGTHS)
    np.testing.assert_array_equal(adata.X, expected.X)


def test_layer():
    adata = reads(sparse.csr_matrix)
    adata.layers["counts"] = adata.X  # one matrix under two names
    before = adata.X.toarray()
    normalize_gene_length(adata, LENGTHS, layer="counts")
    np.testing.assert_array_equal(adata.X.toarray(), before)
    np.testing.assert_array_equal(adata.layers["counts"].toarray(), by_hand(before, LENGTHS))


def test_copy():
    adata = reads()
    before = adata.X.copy()
    copied = normalize_gene_length(adata, LENGTHS, copy=True)
    np.testing.assert_array_equal(adata.X, before)
    np.testing.assert_array_equal(copied.X, by_hand(before, LENGTHS))


def test_view():
    adata = reads()
    with pytest.raises(ValueError, match="is a view"):
        normalize_gene_length(adata[:5], LENGTHS)
    copied = normalize_gene_length(adata[:5], LENGTHS, copy=True)
    np.testing.assert_array_equal(copied.X, by_hand(adata.X[:5], LENGTHS))


def test_backed(tmp_path):
    from anndata import read_h5ad

    adata = reads(sparse.csr_matrix)
    adata.write_h5ad(tmp_path / "reads.h5ad")
    backed = read_h5ad(tmp_path / "reads.h5ad", backed="r")
    with pytest.raises(ValueError, match="backed by a file"):
        normalize_gene_length(backed, LENGTHS)
    copied = normalize_gene_length(backed, LENGTHS, copy=True)
    np.testing.assert_array_equal(copied.X.toarray(), by_hand(adata.X.toarray(), LENGTHS))
    backed.file.close()


@pytest.mark.parametrize(
    ("lengths", "error", "part"),
    [
        ({"g0": 1.0, "g2": 1.0}, KeyError, "lacks 3 genes: g1, g3, g4"),
        (dict.fromkeys(GENES, 1.0) | {"g1": 0.0, "g4": -2.0}, ValueError, "lengths of 2 genes .* g1, g4"),
        ([1.0, 2.0, np.nan, np.inf, 3.0], ValueError, "g2, g3"),
        ([1.0, 2.0], ValueError, r"shape \(2,\), but adata has 5 genes"),
        (5.0, TypeError, "lengths must be an array"),
        (pd.Series(1.0, index=[*GENES, "g3"]), ValueError, "index of lengths is not unique: g3"),
    ],
)
def test_unusable_lengths_are_named(lengths, error, part):
    adata = reads()
    before = adata.X.copy()
    with pytest.raises(error, match=part):
        normalize_gene_length(adata, lengths)
    np.testing.assert_array_equal(adata.X, before)


def test_many_missing_genes_are_summed_up():
    adata = AnnData(X=np.ones((2, 30)), var=pd.DataFrame({"x": 0}, index=[f"g{i}" for i in range(30)]))
    with pytest.raises(KeyError, match=r"lacks 30 genes: g0, .*, g9, \.\.\.; "):
        normalize_gene_length(adata, {})


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
def test_repeated_genes_are_named():
    adata = reads()
    adata.var_names = ["g0", "g0", "g1", "g1", "g2"]
    with pytest.raises(ValueError, match="var_names is not unique: g0, g1"):
        normalize_gene_length(adata, dict.fromkeys(GENES, 1.0))


@pytest.mark.parametrize(("value", "said"), [(-1.0, "there are negative values"), (np.nan, "1 cells have missing")])
@pytest.mark.parametrize("storage", [np.asarray, sparse.csr_matrix])
def test_values_that_are_no_counts_are_refused(storage, value, said):
    counts = np.ones((20, 5))
    counts[3, 2] = value
    adata = reads()
    adata.X = storage(counts)
    with pytest.raises(ValueError, match=said):
        normalize_gene_length(adata, LENGTHS)


def test_missing_layer():
    with pytest.raises(KeyError, match="'reads'"):
        normalize_gene_length(reads(), LENGTHS, layer="reads")
