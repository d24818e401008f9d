"""Cells of any number, in any storage: a verb works, or refuses before the work; modalities and units are looked at."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from border_cells import (
    FAST,
    QUICK,
    LikeDask,
    mapped,
    model,
    per_cell,
    proteins_model,
    proteins_query,
    query,
    ref,
    with_x,
)
from mudata import MuData
from scipy import sparse

import scarches_plus as sp
from scarches_plus.pp import QueryError, check_query

pytestmark = pytest.mark.border
FEW = pytest.mark.filterwarnings(
    "ignore:warning. there are only", "ignore:warning. .* batches have fewer", "ignore:Category .* fewer than 3"
)

# --- B7: none, one ---

NOTHING = {
    "map_query, no cells": (lambda: sp.tl.map_query(query()[:0], model(), **FAST), "0 cells"),
    "map_query, default epochs": (lambda: sp.tl.map_query(query()[:0], model()), "0 cells"),
    "map_query, no genes": (lambda: sp.tl.map_query(query()[:, :0], model(), **FAST), "0 genes"),
    "embed, no cells": (lambda: sp.tl.embed(ref()[:0].copy(), model()), "0 cells"),
    "build_reference, no cells": (lambda: sp.tl.build_reference(ref()[:0], "batch"), "0 cells"),
    "detect_novel, no cells": (
        lambda: sp.tl.detect_novel(query()[:0], ref(), "cell_type", batch_key="batch"), "0 cells"
    ),
    "label_profiles, no cells": (lambda: sp.tl.label_profiles(ref()[:0], "cell_type", "batch"), "0 cells"),
    "seed_labels, no cells": (lambda: sp.pp.seed_labels(query()[:0].copy(), {"a": ["gene1"]}), "0 cells"),
    "transfer_labels, no reference": (
        lambda: sp.tl.transfer_labels(mapped(), ref()[:0], "cell_type"), "no cell of the reference has a label"
    ),
    "rank_genes, no cells": (lambda: sp.tl.rank_genes(query()[:0].copy(), "cell_type"), "no cell has a group"),
    "concat_studies, no cells": (lambda: sp.pp.concat_studies({"a": query()[:0]}), "no cells"),
    "evaluate, no cells": (lambda: sp.metrics.evaluate(mapped()[:0], "X_scarches", "batch"), "0"),
    "check_query, no cells": (lambda: check_query(query()[:0]).raise_for_problems(), "0 cells"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTHING)
def test_nothing(border, case):
    call, says = NOTHING[case]
    border.refused(call, (ValueError, KeyError), says, kind="B7", case=case, shown=f"{case.split(',')[0]}(...)")


@FEW
@pytest.mark.parametrize("n", [1, 2])
def test_one_cell(border, n):
    adata = query()[:n].copy()
    border.warned(
        lambda: sp.tl.map_query(adata, model(), **FAST), f"only {n} cells", kind="B7", case=f"{n} cells",
        shown=f"map_query(query[:{n}], model)",
    )  # fmt: skip
    assert adata.obsm["X_scarches"].shape == (n, 4)
    border.works(
        lambda: sp.tl.transfer_labels(adata, ref(), "cell_type"), lambda _: adata.obs["cell_type_pred"].notna().all(),
        kind="B7", case=f"labels of {n} cells", shown="transfer_labels(query, reference, 'cell_type')",
    )  # fmt: skip


def test_one_label_and_one_gene(border):
    adata = ref()
    adata.obs["one"] = "T"
    border.refused(
        lambda: sp.tl.build_reference(adata, "batch", "one", recipe="scanvi", max_epochs=1), ValueError,
        "is the only label", kind="B7", case="one label", shown="build_reference(..., recipe='scanvi')",
    )  # fmt: skip
    border.refused(
        lambda: sp.tl.label_profiles(adata, "one", "batch"), ValueError, "contrasts need two", kind="B7",
        case="profiles of one label", shown="label_profiles(adata, 'one', 'batch')",
    )  # fmt: skip
    border.refused(
        lambda: sp.tl.map_query(query()[:, :1], model(), **FAST), QueryError, "only 1 of the reference's 40 genes",
        kind="B7", case="one gene", shown="map_query(query[:, :1], model)",
    )  # fmt: skip
    adata.obs["gone"] = np.nan
    border.refused(
        lambda: sp.tl.build_reference(adata, "batch", "gone", recipe="scanvi", max_epochs=1), ValueError,
        "no cell has a label", kind="B7", case="no label", shown="build_reference(..., 'gone', recipe='scanvi')",
    )  # fmt: skip


# --- B8: storage ---


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


def test_matrices_that_are_computed(border):
    from scarches_plus._cells._counts import row_blocks

    x = query().X
    border.works(
        lambda: sparse.vstack(list(row_blocks(LikeDask(x), 50))), lambda found: (found != x).nnz == 0, kind="B8",
        case="an array that is computed when asked for", shown="row_blocks(dask array)",
    )  # fmt: skip


# --- B9: proteins ---

PROTEINS = {
    "missing values": (lambda x: np.where(x > 8, np.nan, x), "missing, infinite"),
    "negative values": (lambda x: x - 3, "negative values"),
    "infinite values": (lambda x: np.where(x > 8, np.inf, x), "missing, infinite"),
    "log1p": (lambda x: np.log1p(x), "log1p of raw counts"),
    "CLR": (lambda x: np.log1p(x) - np.log1p(x).mean(axis=1, keepdims=True), "negative values"),
    "normalised": (lambda x: per_cell(x, 100.0), "counts normalised to 100"),
    "multiplied": (lambda x: 4 * x, "counts multiplied by 4"),
    "scaled": (lambda x: (x - x.mean(0)) / x.std(0), "scaled"),
}


@pytest.mark.parametrize("case", PROTEINS)
def test_values_of_proteins(border, case):
    change, says = PROTEINS[case]
    adata = proteins_query()
    adata.mod["protein"].X = change(np.asarray(adata.mod["protein"].X, dtype=np.float64)).astype(np.float32)
    border.refused(
        lambda: sp.tl.map_query(adata, proteins_model(), **FAST), QueryError, ("proteins (modality 'protein')", says),
        kind="B9", case=f"proteins with {case}", shown="map_query(mdata, model)",
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
def test_shape_and_names_of_proteins(border):
    adata = proteins_query()
    fewer = MuData({"rna": adata.mod["rna"], "protein": adata.mod["protein"][:100].copy()})
    fewer.obs["batch"] = adata.obs["batch"]
    border.refused(
        lambda: sp.tl.map_query(fewer, proteins_model(), **FAST), QueryError, ("100 of the 240 cells", "intersect_obs"),
        kind="B9", case="proteins of fewer cells", shown="map_query(mdata, model)",
    )  # fmt: skip
    twice = proteins_query()
    twice.mod["protein"].var_names = ["protein0", "protein0", *twice.mod["protein"].var_names[2:]]
    border.refused(
        lambda: sp.tl.map_query(twice, proteins_model(), **FAST), QueryError, "names of proteins", kind="B9",
        case="a protein twice", shown="map_query(mdata, model)",
    )  # fmt: skip
    others = proteins_query()
    others.mod["protein"].var_names = [f"CD{i}" for i in range(5)]
    border.refused(
        lambda: sp.tl.map_query(others, proteins_model(), **FAST), QueryError, "none of the proteins", kind="B9",
        case="other proteins", shown="map_query(mdata, model)",
    )  # fmt: skip
    rna = MuData({"genes": query()})
    border.refused(
        lambda: sp.tl.map_query(rna, proteins_model(), **FAST), QueryError, "modality 'rna' of the genes not found", kind="B9",
        case="the modality of genes has another name", shown="map_query(mdata, model)",
    )  # fmt: skip
    border.refused(
        lambda: sp.tl.map_query(proteins_query(), model(), **FAST), TypeError, "mdata.mod['rna']", kind="B9",
        case="MuData for a model of genes", shown="map_query(mdata, model)",
    )  # fmt: skip
    logged = proteins_query()
    logged.mod["rna"].X = np.log1p(per_cell(logged.mod["rna"].X.toarray()))
    border.refused(
        lambda: sp.tl.map_query(logged, proteins_model(), **FAST), QueryError, "log1p of counts", kind="B9",
        case="logarithms of genes beside proteins", shown="map_query(mdata, model)",
    )  # fmt: skip


# --- B10: units ---


def _logs_in_x(adata):
    adata.layers["counts"] = adata.X.copy()
    return with_x(adata, lambda x: np.log1p(per_cell(x)))


def test_units_of_a_joint_embedding(border):
    raw = query().X
    adata = _logs_in_x(query())
    sp.tl.map_query(adata, model(), layer="counts", **FAST)
    border.works(
        lambda: sp.tl.joint_embedding(ref(), adata).X, lambda x: (x[-raw.shape[0] :] != raw).nnz == 0, kind="B10",
        case="a query mapped by its layer", shown="joint_embedding(reference, query).X",
    )  # fmt: skip
    embedded = _logs_in_x(ref())
    sp.tl.embed(embedded, model(), layer="counts")
    border.works(
        lambda: sp.tl.joint_embedding(embedded, adata).X, lambda x: (x.data % 1 == 0).all(), kind="B10",
        case="both embedded by their layer", shown="joint_embedding(reference, query).X",
    )  # fmt: skip
    border.works(
        lambda: adata.uns["scarches_plus"]["embeddings"]["X_scarches"]["layer"], lambda layer: layer == "counts", kind="B10",
        case="the layer is recorded", shown="query.uns['scarches_plus']['embeddings']['X_scarches']['layer']",
    )  # fmt: skip
    other = with_x(mapped(), lambda x: np.log1p(per_cell(x)))
    joint = border.warned(
        lambda: sp.tl.joint_embedding(ref(), other), ("not in the same units", "log1p of counts"), kind="B10",
        case="X was changed after mapping", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    assert joint.X is None
    scaled = with_x(mapped(), lambda x: x - x.mean(axis=0))
    border.warned(
        lambda: sp.tl.joint_embedding(ref(), scaled), "not in the same units", kind="B10",
        case="X was centred after mapping", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    targets = with_x(ref(), lambda x: np.log1p(per_cell(x, 400.0)))
    border.warned(
        lambda: sp.tl.joint_embedding(targets, other), "normalised to 400", kind="B10",
        case="logarithms of two depths", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    both = with_x(ref(), lambda x: np.log1p(per_cell(x)))
    border.works(
        lambda: sp.tl.joint_embedding(both, other).X, lambda x: x is not None, kind="B10",
        case="logarithms of one depth", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    gone = adata.copy()
    del gone.layers["counts"]
    border.warned(
        lambda: sp.tl.joint_embedding(ref(), gone), "not in the same units", kind="B10",
        case="the layer is gone", shown="joint_embedding(reference, query)",
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:The lr scheduler dict contains")
def test_units_of_mudata(border):
    reference = proteins_query()
    trained = proteins_model()
    sp.tl.map_query(reference, trained, **FAST)
    border.works(
        lambda: sp.tl.joint_embedding(reference[:100].copy(), reference[100:].copy()),
        lambda joint: joint.X is not None and joint.n_vars == 40, kind="B10", case="MuData", shown="joint_embedding(mdata, mdata)",
    )  # fmt: skip
    other = reference.copy()
    other.mod["rna"].X = np.log1p(per_cell(other.mod["rna"].X.toarray()))
    border.warned(
        lambda: sp.tl.joint_embedding(reference, other), "not in the same units", kind="B10",
        case="MuData with logarithms", shown="joint_embedding(mdata, mdata)",
    )  # fmt: skip


# --- nobody's cells are changed ---


def _state(adata):
    return {
        "obs": adata.obs.copy(), "var": adata.var.copy(), "obsm": sorted(adata.obsm), "uns": sorted(adata.uns),
        "layers": sorted(filter(None, adata.layers)), "X": adata.X.copy(), "names": list(adata.obs_names),
    }  # fmt: skip


def _same(one, other, *, but=()):
    return all(
        key in but or (one[key].equals(other[key]) if isinstance(one[key], pd.DataFrame) else
                       (one[key] != other[key]).nnz == 0 if key == "X" else one[key] == other[key])
        for key in one
    )  # fmt: skip


UNTOUCHED = {
    "map_query": (lambda q: sp.tl.map_query(q, model(), **FAST), ("obsm", "uns")),
    "map_query, refused": (lambda q: sp.tl.map_query(q, model(), batch_key="nope", **FAST), ()),
    "embed, refused": (lambda q: sp.tl.embed(q, model()), ()),
    "check_query": (lambda q: check_query(q, model()), ()),
    "align_genes": (lambda q: sp.pp.align_genes(q, model().spec.var_names[::-1]), ()),
    "build_reference": (lambda q: sp.tl.build_reference(q, "batch", max_epochs=1, train_kwargs=QUICK), ("obsm", "uns")),
    "label_profiles": (lambda q: sp.tl.label_profiles(q, "cell_type", "batch"), ()),
    "seed_labels": (lambda q: sp.pp.seed_labels(q, {"a": ["gene1"], "b": ["gene2"]}, 2), ("obs",)),
    "detect_novel, refused": (lambda q: sp.tl.detect_novel(q, ref(), "cell_type", batch_key="nope"), ()),
    "transfer_labels, refused": (lambda q: sp.tl.transfer_labels(q, ref(), "cell_type"), ()),
    "rank_genes": (lambda q: sp.tl.rank_genes(q, "cell_type"), ("uns",)),
}


@pytest.mark.parametrize("verb", UNTOUCHED)
def test_cells_stay_as_they_are(border, verb):
    call, but = UNTOUCHED[verb]
    adata = query()
    before = _state(adata)

    def run():
        try:
            call(adata)
        except (ValueError, KeyError):
            assert "refused" in verb
        return _state(adata)

    border.works(
        run, lambda after: _same(before, after, but=but), kind="B8", case=f"what {verb} changes of the cells",
        shown=f"{verb.split(',')[0]}(query, ...)",
    )  # fmt: skip


def test_copies_of_empty_records(border):
    adata = AnnData(query().X, query().obs, query().var)
    border.works(
        lambda: sp.tl.map_query(adata, model(), **FAST), lambda _: sorted(adata.uns) == ["scarches_plus"], kind="B8",
        case="cells with nothing else", shown="map_query(query, model)",
    )  # fmt: skip


def _modality(name, change):
    mdata = proteins_query()
    parts = {key: part.copy() for key, part in mdata.mod.items()}
    change(parts[name])
    changed = MuData(parts)
    changed.obs["batch"] = mdata.obs["batch"]
    return changed


def _renamed(cells):
    cells.var_names = [f"{name} " for name in cells.var_names]


def _counts_elsewhere(cells):
    cells.layers["raw counts"] = cells.X.copy()
    cells.X = np.log1p(cells.X)


def _counts_in_raw(cells):
    cells.raw = cells.copy()
    cells.X = np.log1p(cells.X)


def _twice(cells):
    cells.X = cells.X * 2


@pytest.mark.parametrize(
    ("name", "change"),
    [("rna", _renamed), ("rna", _twice), ("rna", _counts_in_raw), ("protein", _counts_elsewhere), ("protein", _twice)],
)
def test_advice_for_a_modality_works(border, name, change):
    mdata = _modality(name, change)
    fix = check_query(mdata, proteins_model()).problems[0].fix
    scope = {"mdata": mdata, "model": proteins_model(), "sp": sp, "np": np}
    exec(fix[fix.index("mdata.mod") :].partition(", which")[0].rpartition("raw: ")[2], scope)  # noqa: S102
    border.works(
        lambda: check_query(scope["mdata"], proteins_model()).problems, lambda found: found == (), kind="B6",
        case=f"{change.__name__.strip('_')} in modality {name}", shown="its advice, then check_query(mdata, model)",
    )  # fmt: skip


@FEW
def test_one_cell_of_two_modalities(border):
    border.refused(
        lambda: sp.tl.map_query(proteins_query()[:1].copy(), proteins_model(), **FAST), ValueError, "there is 1 cell",
        kind="B7", case="one cell with proteins", shown="map_query(mdata[:1], model)",
    )  # fmt: skip
