"""Counts by blocks of rows, from wherever they lie."""

import anndata
import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus._cells._counts import row_blocks, stored_counts

COUNTS = np.random.default_rng(0).poisson(0.5, (23, 7)).astype(np.float32)
KINDS = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "csr_array": sparse.csr_array, "dense": np.asarray}


def whole(blocks):
    return np.vstack([block.toarray() if sparse.issparse(block) else block for block in blocks])


@pytest.fixture(scope="module", params=["csr", "dense"])
def backed(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    AnnData(KINDS[request.param](COUNTS)).write_h5ad(path)
    backed = anndata.read_h5ad(path, backed="r")
    yield backed
    backed.file.close()


@settings(max_examples=30, deadline=None)
@given(n_rows=st.integers(1, 30), kind=st.sampled_from(list(KINDS)))
def test_blocks_add_up(n_rows, kind):
    blocks = list(row_blocks(stored_counts(AnnData(KINDS[kind](COUNTS)), None), n_rows))
    np.testing.assert_array_equal(whole(blocks), COUNTS)
    assert {block.shape[0] for block in blocks[:-1]} <= {n_rows}
    assert all(isinstance(block, sparse.csr_matrix | np.ndarray) for block in blocks)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), n_rows=st.integers(1, 30))
def test_views_of_what_lies_on_disk(backed, data, n_rows):
    rows = data.draw(st.lists(st.integers(0, 22), min_size=1, unique=True))
    genes = data.draw(st.lists(st.integers(0, 6), min_size=1, unique=True))
    view = backed[rows, genes]
    stored = stored_counts(view, None)
    assert not sparse.issparse(stored)
    assert not isinstance(stored, np.ndarray)
    np.testing.assert_array_equal(whole(row_blocks(stored, n_rows)), COUNTS[np.ix_(rows, genes)])


def test_views_in_memory():
    view = AnnData(sparse.csr_matrix(COUNTS))[5:9, ::2]
    np.testing.assert_array_equal(whole(row_blocks(stored_counts(view, None))), COUNTS[5:9, ::2])


def test_no_cells():
    assert list(row_blocks(np.zeros((0, 3)))) == []
    assert next(row_blocks(stored_counts(AnnData(np.zeros((4, 0))), None))).shape == (4, 0)


def test_what_fails_while_reading_is_told(backed):
    class Broken:
        shape = (5, 2)

        def __getitem__(self, rows):
            raise OSError("disk on fire")

    with pytest.raises(OSError, match="on fire"):
        list(row_blocks(Broken(), 2))


def test_stored_by_genes_is_loaded_and_said(tmp_path):
    AnnData(sparse.csc_matrix(COUNTS)).write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.warns(UserWarning, match="tocsr"):
        stored = stored_counts(backed, None)
    np.testing.assert_array_equal(whole(row_blocks(stored)), COUNTS)
    backed.file.close()
