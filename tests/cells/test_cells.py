"""Columns, counts, matrices and measured genes, from whatever cells there are."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus._cells._columns import column_not_found, column_of
from scarches_plus._cells._counts import row_blocks, stored_counts
from scarches_plus._cells._matrices import UnreadableMatrixError, damage, in_memory
from scarches_plus._cells._measured import unmeasured_genes
from scarches_plus.pp import concat_studies

# --- A column is found, or it is said which ones come near ---


TABLE = pd.DataFrame({"cell_type": ["a"], "Batch": [1], 3: [0.5]})


def test_a_column():
    assert column_of(TABLE, "Batch").tolist() == [1]


@pytest.mark.parametrize(("key", "near"), [("celltype", "cell_type"), ("batch", "Batch"), ("CELL_TYPES", "cell_type")])
def test_near_names(key, near):
    with pytest.raises(KeyError, match=f"did you mean '{near}'"):
        column_of(TABLE, key)


def test_many_and_other_names():
    assert "did you mean" not in column_not_found(TABLE, "zzz")
    assert "columns ['a', 'b'] not found in query.obs" in column_not_found(TABLE, ["a", "b"], "query.obs")
    many = pd.DataFrame(columns=[f"c{i}" for i in range(300)])
    assert "and 280 more" in column_not_found(many, "zzz")


def test_a_column_twice():
    twice = pd.concat([TABLE, TABLE[["Batch"]]], axis=1)
    with pytest.raises(ValueError, match=r"2 columns of adata\.obs are named 'Batch'"):
        column_of(twice, "Batch")


# --- Counts by blocks of rows, from wherever they lie ---


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


# --- Matrices are brought into one form, and damaged ones refused ---


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


# --- Genes that batches did not measure ---


def study(genes, n_cells=4, *, prefix="cell", **obs):
    counts = np.random.default_rng(0).poisson(1.0, (n_cells, len(genes))).astype(np.float32)
    obs = pd.DataFrame(obs, index=[f"{prefix}{i}" for i in range(n_cells)])
    return AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=list(genes)))


class TestUnmeasuredGenes:
    """What training and surgery make of the record."""

    joined = concat_studies(
        {"x": study("abc", sample=list("ppqq")), "y": study("bcd", prefix="y", sample=list("rrst")), "z": study("bc")}
    )

    def batches(self, key):
        return self.joined.obs[key].astype(str).to_numpy()

    def test_batches_may_be_finer_than_studies(self):
        assert unmeasured_genes(self.joined, self.batches("study")) == {"x": [3], "y": [0], "z": [0, 3]}
        part = self.joined[self.joined.obs["study"] != "z"]
        samples = part.obs["sample"].astype(str).to_numpy()
        assert unmeasured_genes(part, samples) == {"p": [3], "q": [3], "r": [0], "s": [0], "t": [0]}
        assert unmeasured_genes(part[:, ["c", "a"]], samples) == {"r": [1], "s": [1], "t": [1]}

    def test_a_batch_of_studies_that_measured_different_genes(self):
        one = np.full(self.joined.n_obs, "one")
        with pytest.raises(ValueError, match=r"batch 'one' spans .*\['x', 'y', 'z'\].*keep batches within studies"):
            unmeasured_genes(self.joined, one)
        assert unmeasured_genes(self.joined[:, ["b", "c"]], one) == {}

    def test_the_users_own_mask(self):
        batches = self.batches("study")
        assert unmeasured_genes(self.joined, batches, None) == {}
        assert unmeasured_genes(self.joined, batches, {"x": ["d", "a"], "y": list("abcd")}) == {"x": [1, 2]}
        mask = ~self.joined.varm["measured"].iloc[[2, 0, 3, 1]]
        expected = {"x": [0, 1, 2], "y": [1, 2, 3], "z": [1, 2]}
        assert unmeasured_genes(self.joined, batches, mask) == expected

    @pytest.mark.parametrize(
        ("mask", "error", "message"),
        [
            ({"w": ["a"]}, ValueError, r"names batches \['w'\] \(1 in all\) that are not among \['x', 'y', 'z'\]"),
            ({"x": ["a", "A"]}, ValueError, r"names genes \['A'\]"),
            ({"x": []}, ValueError, r"\['x'\] measured none of the 4 genes"),
            (pd.DataFrame({"w": True}, index=list("abcd")), ValueError, r"batches \['w'\]"),
            (pd.DataFrame({"x": True}, index=list("abcde")), ValueError, r"genes \['e'\]"),
            (pd.DataFrame({"x": True}, index=list("abcda")), ValueError, "exactly one row"),
            (pd.DataFrame({"x": True}, index=list("ab")), ValueError, r"lacks 2, for example \['c', 'd'\]"),
            ("x", ValueError, "must be 'auto'.*not 'x'"),
            (["a"], TypeError, r"a mapping or a DataFrame, not \['a'\]"),
        ],
    )
    def test_masks_that_cannot_be(self, mask, error, message):
        with pytest.raises(error, match=message):
            unmeasured_genes(self.joined, self.batches("study"), mask)

    def test_a_record_that_no_longer_fits(self):
        broken = self.joined.copy()
        broken.obs["study"] = "w"
        with pytest.raises(ValueError, match=r"holds \['w'\], but varm\['measured'\] knows \['x', 'y', 'z'\]"):
            unmeasured_genes(broken, self.batches("sample"))
        del broken.obs["study"]
        with pytest.raises(KeyError, match=r"obs\['study'\] is gone"):
            unmeasured_genes(broken, self.batches("sample"))
        del broken.varm["measured"]
        broken.var["measured"] = [True, True, False, True]
        assert unmeasured_genes(broken, np.full(broken.n_obs, "b")) == {"b": [2]}
