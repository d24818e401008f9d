"""Cells in any storage, and views of them: a verb works, or refuses before the work."""

import anndata
import numpy as np
import pytest
from border_cells import (
    FAST,
    mapped,
    model,
    query,
    ref,
)
from scipy import sparse

import scarches_plus as sp

pytestmark = pytest.mark.border


def _with(x, **arrays):
    x = x.copy()
    for name, array in arrays.items():
        setattr(x, name, array)
    return x


def _read_only(x):
    x = x.toarray()
    x.flags.writeable = False
    return x


STORAGE = {
    "CSC": lambda x: x.tocsc(),
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "dense": lambda x: x.toarray(),
    "Fortran order": lambda x: np.asfortranarray(x.toarray()),
    "read-only": _read_only,
    "float16": lambda x: x.toarray().astype(np.float16),
    "float64": lambda x: x.astype(np.float64),
    "int64": lambda x: x.astype(np.int64),
    "uint16": lambda x: x.astype(np.uint16),
    "uint64 dense": lambda x: x.toarray().astype(np.uint64),
    "big-endian": lambda x: x.toarray().astype(">f4"),
    "big-endian CSR": lambda x: _with(x, data=x.data.astype(">f4"), indices=x.indices.astype(">i4")),
    "int64 indices": lambda x: sparse.csr_matrix(
        (x.data, x.indices.astype(np.int64), x.indptr.astype(np.int64)), x.shape
    ),
}


@pytest.mark.parametrize("storage", STORAGE)
def test_any_storage(border, storage):
    adata, reference = ref(), model()
    right = reference.embed(adata)
    adata.X = STORAGE[storage](adata.X)

    def verbs():
        sp.tl.embed(adata, reference, key_added="again")
        fresh = query()
        fresh.X = STORAGE[storage](fresh.X)
        sp.tl.map_query(fresh, reference, **FAST)
        joint = sp.tl.joint_embedding(ref(), fresh)
        sp.tl.rank_genes(fresh, "cell_type")
        sp.pp.seed_labels(fresh, {"a": ["gene1"], "b": ["gene2"]}, 2)
        sp.pp.concat_studies({"a": fresh})
        return joint.X.shape

    border.works(
        verbs, lambda shape: shape[1] == 40 and np.allclose(adata.obsm["again"], right, atol=1e-5), kind="B8",
        case=f"counts as {storage}", shown="embed, map_query, joint_embedding, rank_genes, seed_labels, concat_studies",
    )  # fmt: skip


def _on_disk(adata, path, kind=sparse.csr_matrix):
    adata.X = kind(adata.X.toarray())
    adata.write_h5ad(path)
    return anndata.read_h5ad(path, backed="r")


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray], ids=["CSR", "dense"])
def test_cells_on_disk(border, tmp_path, kind):
    backed = _on_disk(query(), tmp_path / "query.h5ad", kind)
    reference = _on_disk(ref(), tmp_path / "ref.h5ad", kind)

    def verbs():
        sp.tl.map_query(backed, model(), **FAST)
        sp.tl.transfer_labels(backed, reference, "cell_type")
        sp.pp.seed_labels(backed, {"a": ["gene1"], "b": ["gene2"]}, 2)
        sp.tl.rank_genes(backed, "cell_type")
        sp.tl.embed(reference, model())
        return sp.tl.joint_embedding(reference, backed)

    border.works(
        verbs, lambda joint: joint.X.sum() > 0 and joint.n_obs == 480, kind="B8",
        case="cells on disk", shown="map_query, transfer_labels, seed_labels, rank_genes, embed, joint_embedding",
    )  # fmt: skip
    border.works(
        lambda: sp.tl.joint_embedding(reference[:50], backed[::2]), lambda joint: joint.X.sum() > 0, kind="B8",
        case="views of cells on disk", shown="joint_embedding(backed[:50], backed[::2])",
    )  # fmt: skip
    border.works(
        lambda: sp.tl.embed(reference[:50], model(), copy=True), lambda found: found.obsm["X_scarches"].shape == (50, 4),
        kind="B8", case="a copy of a view of cells on disk", shown="embed(backed[:50], model, copy=True)",
    )  # fmt: skip


def test_views_of_cells_on_disk_are_refused_before_the_work(border, tmp_path):
    backed, reference = _on_disk(mapped(), tmp_path / "query.h5ad"), ref()
    for verb, call in {
        "map_query": lambda some: sp.tl.map_query(some, model()),
        "embed": lambda some: sp.tl.embed(some, model()),
        "transfer_labels": lambda some: sp.tl.transfer_labels(some, reference, "cell_type"),
        "detect_novel": lambda some: sp.tl.detect_novel(some, ref(), "cell_type", batch_key="batch"),
        "seed_labels": lambda some: sp.pp.seed_labels(some, {"a": ["gene1"]}),
        "build_reference": lambda some: sp.tl.build_reference(some, "batch"),
        "rank_genes": lambda some: sp.tl.rank_genes(some, "cell_type"),
        "cluster": lambda some: sp.tl.cluster(some),
    }.items():
        border.refused(
            lambda call=call: call(backed[:100]), ValueError, ("a view of cells on disk", "adata.to_memory()"), kind="B8",
            case=f"a view of cells on disk, {verb}", shown=f"{verb}(backed[:100], ...)",
        )  # fmt: skip


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_a_view_of_a_view(border):
    parent = query()
    before = parent.copy()
    view = parent[::2][:, ::-1][5:100]
    sp.tl.map_query(view, model(), **FAST)
    border.works(
        lambda: (view.obsm["X_scarches"].shape, parent.obsm.keys(), parent.uns.keys(), parent.obs.equals(before.obs)),
        lambda found: found[0] == (95, 4) and not found[1] and list(found[2]) == ["simulate"] and found[3], kind="B8",
        case="a view of a view", shown="map_query(adata[::2][:, ::-1][5:100], model)",
    )  # fmt: skip
