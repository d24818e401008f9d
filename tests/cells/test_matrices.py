"""Matrices are brought into one form, and damaged ones refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus._cells._matrices import UnreadableMatrixError, damage, in_memory

VALUES = np.random.default_rng(0).poisson(0.5, (12, 7)).astype(np.float32)


def test_sound_matrices_come_back_as_they_are():
    for matrix in (VALUES, sparse.csr_matrix(VALUES)):
        assert in_memory(matrix) is matrix


@pytest.mark.parametrize("kind", ["csc", "coo", "bsr", "lil", "dok", "dia"])
def test_formats_of_scipy(kind):
    found = in_memory(sparse.csr_matrix(VALUES).asformat(kind))
    assert isinstance(found, sparse.csr_matrix)
    np.testing.assert_array_equal(found.toarray(), VALUES)


@pytest.mark.parametrize("dtype", ["f2", ">f4", ">i8", "g", "?", "u2"])
def test_types_of_numbers(dtype):
    found = in_memory(VALUES.astype(dtype))
    assert found.dtype.isnative
    assert found.dtype.kind in "iuf"
    np.testing.assert_array_equal(found, VALUES.astype(dtype).astype(float))


def test_masked_values_are_missing():
    assert np.isnan(in_memory(np.ma.masked_greater(VALUES, 1))).sum() == (VALUES > 1).sum()


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_matrices_of_numpy():
    np.testing.assert_array_equal(in_memory(np.asmatrix(VALUES)), VALUES)
    assert type(in_memory(np.asmatrix(VALUES))) is np.ndarray


@pytest.mark.parametrize("values", [np.array([["a"]]), np.array([[object()]]), np.array([[1 + 1j]])])
def test_what_is_no_number(values):
    with pytest.raises(UnreadableMatrixError, match="not numbers"):
        in_memory(values, "adata.X")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_passes_passes_scipy_too(data):
    matrix = sparse.csr_matrix(VALUES)
    array = data.draw(st.sampled_from(["indices", "indptr"]))
    place = data.draw(st.integers(0, len(getattr(matrix, array)) - 1))
    getattr(matrix, array)[place] = data.draw(st.integers(-3, 60))
    if damage(matrix) is None:
        matrix.check_format(full_check=True)
        matrix.toarray()
