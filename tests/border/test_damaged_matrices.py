"""A damaged sparse matrix is refused before compiled code sees it: no verb ends the process."""

import anndata
import h5py
import numpy as np
import pytest
from anndata import AnnData
from border_cells import mapped, model, proteins_model, proteins_query, query, ref
from scipy import sparse

import scarches_plus as sp
from scarches_plus.pp import check_query

pytestmark = pytest.mark.border


def beyond(x):
    x.indices[7] = 10**6


def negative(x):
    x.indices[3] = -(10**6)


def far_away(x):
    x.indices = x.indices.astype(np.int64)
    x.indices[0] = 2**40


def falling_rows(x):
    x.indptr[5] = 10**8


def negative_rows(x):
    x.indptr[2] = -5


def rows_beyond(x):
    x.indptr[-1] = x.nnz + 10**7


def late_start(x):
    x.indptr[0] = 4


def short_indices(x):
    x.indices = x.indices[:10]


def short_data(x):
    x.data = x.data[:10]


def fractional_indices(x):
    x.indices = x.indices.astype(np.float64)


def few_rows(x):
    x.indptr = x.indptr[:-20].copy()


DAMAGE = [
    beyond, negative, far_away, falling_rows, negative_rows, rows_beyond, late_start, short_indices, short_data,
    fractional_indices, few_rows,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
def test_kinds_of_damage(border, damage):
    adata, reference = query(), model()
    damage(adata.X)
    border.in_child(
        lambda: sp.tl.embed(adata, reference), ValueError, ("damaged sparse matrix", "adata.X"), kind="A4",
        case=f"a CSR matrix with {damage.__name__.replace('_', ' ')}", shown="embed(query, model)",
    )  # fmt: skip


@pytest.mark.parametrize("form", ["csc", "csr_array"])
def test_other_formats(border, form):
    adata, reference = query(), model()
    x = sparse.csr_array(adata.X) if form == "csr_array" else adata.X.asformat(form)
    x.indices[2] = 10**7
    adata.X = x
    border.in_child(
        lambda: sp.tl.map_query(adata, reference, max_epochs=1), ValueError, "damaged sparse matrix", kind="A4",
        case=f"a damaged {form} matrix", shown="map_query(query, model)",
    )  # fmt: skip


def _embedding(adata):
    adata.obsm["X_scarches"] = sparse.csr_matrix(adata.obsm["X_scarches"])
    adata.obsm["X_scarches"].indices[1] = 10**8
    return adata


def _damaged():
    adata = query()
    beyond(adata.X)
    return adata


PLACES = {
    "map_query": lambda: sp.tl.map_query(_damaged(), model(), max_epochs=1),
    "check_query, a view": lambda: check_query(_damaged()[:50], model()).raise_for_problems(),
    "embed, genes of a view": lambda: sp.tl.embed(_damaged()[:, ::-1], model()),
    "build_reference": lambda: sp.tl.build_reference(_damaged(), "batch", max_epochs=1),
    "align_genes": lambda: sp.pp.align_genes(_damaged(), model().spec.var_names[::-1]),
    "concat_studies": lambda: sp.pp.concat_studies({"a": _damaged()}),
    "seed_labels": lambda: sp.pp.seed_labels(_damaged(), {"a": ["gene1"], "b": ["gene2"]}),
    "rank_genes": lambda: sp.tl.rank_genes(_damaged(), "cell_type"),
    "normalize_gene_length": lambda: sp.pp.normalize_gene_length(_damaged(), np.ones(40)),
    "label_profiles": lambda: sp.tl.label_profiles(_damaged(), "cell_type", "batch"),
    "expression_classifier": lambda: sp.tl.expression_classifier(_damaged(), "cell_type"),
    "balance_cells": lambda: sp.pp.balance_cells(_damaged(), "cell_type", 5),
    "transfer_labels, a sparse embedding": lambda: sp.tl.transfer_labels(_embedding(mapped()), ref(), "cell_type"),
    "balance_cells, a graph": lambda: sp.pp.balance_cells(_with_graph(query()), "cell_type", 5),
    "balance_cells, raw": lambda: sp.pp.balance_cells(_with_raw(query()), "cell_type", 5),
    "joint_embedding": lambda: sp.tl.joint_embedding(ref(), _with_damaged_x(mapped())),
    "load_query_data": lambda: type(model()).load_query_data(_damaged(), model()),
}


def _with_damaged_x(adata):
    beyond(adata.X)
    return adata


def _with_graph(adata):
    graph = sparse.identity(adata.n_obs, dtype=np.float32, format="csr")
    beyond(graph)
    adata.obsp["distances"] = graph
    return adata


def _with_raw(adata):
    adata.raw = adata.copy()
    beyond(adata.raw.X)
    return adata


@pytest.mark.parametrize("place", PLACES)
def test_every_verb_refuses(border, place):
    model(), mapped()
    border.in_child(
        PLACES[place], ValueError, "damaged sparse matrix",
        kind="A4", case=f"a damaged matrix in {place}",
        shown=f"{place.split(',')[0]}(...)",
    )  # fmt: skip


def test_proteins(border):
    adata, reference = proteins_query(), proteins_model()
    counts = sparse.csr_matrix(adata.mod["protein"].X)
    counts.indices[2] = 10**7
    adata.mod["protein"].X = counts
    border.in_child(
        lambda: sp.tl.map_query(adata, reference, max_epochs=1), ValueError, ("protein", "damaged sparse matrix"),
        kind="A4", case="damaged proteins", shown="map_query(mdata, model)",
    )  # fmt: skip


@pytest.mark.parametrize("change", ["indices", "indptr", "shape", "data"])
@pytest.mark.parametrize("rows", [slice(None), slice(0, 200, 7)], ids=["whole", "view"])
def test_files_read_block_by_block(border, tmp_path, change, rows):
    path, reference = tmp_path / "query.h5ad", model()
    query().write_h5ad(path)
    with h5py.File(path, "r+") as file:
        if change == "shape":
            file["X"].attrs["shape"] = np.array([240, 11])
        elif change == "indptr":
            file["X/indptr"][50] = 10**9
        elif change == "data":
            del file["X/data"]
            file["X/data"] = np.ones(7, dtype=np.float32)
        else:
            file["X/indices"][5] = 10**6

    def check():
        backed = anndata.read_h5ad(path, backed="r")
        check_query(backed[rows], reference).raise_for_problems()

    border.in_child(
        check, (ValueError, OSError), "", kind="A4", case=f"a file with wrong {change}, {rows}",
        shown="check_query(backed, model)",
    )  # fmt: skip


def test_entries_given_twice_and_out_of_order_are_added_up(border):
    adata, reference = ref(), model()
    right = reference.embed(adata)
    x = adata.X.tocoo()
    order = np.random.default_rng(0).permutation(2 * x.nnz)
    row, column = np.tile(x.row, 2)[order], np.tile(x.col, 2)[order]
    by_row = np.argsort(row, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=x.shape[0]))])
    values = np.concatenate([x.data - 1, np.ones_like(x.data)])[order][by_row]
    twice = AnnData(sparse.csr_matrix((values, column[by_row], indptr), shape=x.shape), adata.obs, adata.var)
    border.works(
        lambda: reference.embed(twice), lambda found: np.allclose(found, right, atol=1e-5), kind="A4",
        case="entries given twice", shown="model.embed(query)",
    )  # fmt: skip
