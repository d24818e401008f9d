"""Genes in the reference's order."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus.pp import align_genes, concat_studies


def make(names, kind="csr", n_cells=5):
    counts = np.random.default_rng(0).poisson(1.0, (n_cells, len(names))).astype(np.float32)
    matrix = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "csr_array": sparse.csr_array, "dense": np.asarray}[
        kind
    ]
    return AnnData(matrix(counts), var=pd.DataFrame(index=list(names))), counts


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["csr", "csc", "csr_array", "dense"]))
def test_every_gene_lands_where_the_reference_has_it(data, kind):
    pool = list("abcdefgh")
    query = data.draw(st.lists(st.sampled_from(pool), unique=True, min_size=1))
    reference = data.draw(st.lists(st.sampled_from(pool), unique=True, min_size=1))
    if not set(query) & set(reference):
        return
    adata, counts = make(query, kind)
    aligned = align_genes(adata, reference)
    expected = np.zeros((5, len(reference)))
    for j, gene in enumerate(reference):
        if gene in query:
            expected[:, j] = counts[:, query.index(gene)]
    np.testing.assert_array_equal(dense(aligned.X), expected)
    assert list(aligned.var_names) == reference
    assert aligned.var["measured"].tolist() == [gene in query for gene in reference]
    np.testing.assert_array_equal(dense(adata.X), counts)


def test_padding_is_sparse():
    adata, counts = make("abc")
    aligned = align_genes(adata, list("abcdefghijklmnop"))
    assert aligned.X.nnz == np.count_nonzero(counts)
    assert isinstance(aligned.X, sparse.csr_matrix)
    assert aligned.X.has_sorted_indices


def test_same_genes_share_the_matrix():
    adata, _ = make("abc")
    assert np.shares_memory(align_genes(adata, list("abc")).X.data, adata.X.data)


def test_layer_and_obs():
    adata, counts = make("abc")
    adata.obs["batch"] = "x"
    adata.layers["counts"] = adata.X
    adata.X = np.zeros((5, 3))
    adata.uns["mine"] = 1
    aligned = align_genes(adata, list("cb"), layer="counts")
    np.testing.assert_array_equal(dense(aligned.layers["counts"]), counts[:, [2, 1]])
    np.testing.assert_array_equal(dense(aligned.X), counts[:, [2, 1]])
    assert list(aligned.obs["batch"]) == ["x"] * 5
    assert adata.uns == {"mine": 1}
    assert "measured" not in adata.var


def test_what_studies_measured_goes_along():
    studies = {"x": make("abc")[0], "y": make("bcd")[0]}
    aligned = align_genes(concat_studies(studies), list("dzb"))
    assert aligned.varm["measured"].to_dict("list") == {"x": [False, False, True], "y": [True, False, True]}
    assert aligned.uns == {"scarches_plus": {"study_key": "study"}}
    assert not align_genes(studies["x"], list("ab")).uns


@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_backed(tmp_path, kind):
    adata, counts = make("abc", kind)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(dense(align_genes(backed, list("ba")).X), counts[:, [1, 0]])
    backed.file.close()


@pytest.mark.parametrize(
    ("names", "reference", "message"),
    [("abc", "xyz", "none of the reference's genes"), ("aab", "ab", "not unique"), ("abc", "aab", "not unique")],
)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_refusals(names, reference, message):
    adata, _ = make(names)
    with pytest.raises(ValueError, match=message):
        align_genes(adata, list(reference))


def test_no_such_layer():
    adata, _ = make("abc")
    with pytest.raises(KeyError, match="counts"):
        align_genes(adata, list("abc"), layer="counts")
    empty = AnnData(obs=pd.DataFrame(index=["c"]), var=pd.DataFrame(index=["a"]))
    with pytest.raises(KeyError, match="empty"):
        align_genes(empty, ["a"])
