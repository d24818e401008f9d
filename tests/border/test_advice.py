"""The advice of a message about cells, when it is followed, leads to success."""

import re

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from border_cells import FAST, mapped, model, per_cell, proteins_model, proteins_query, query, ref, with_x
from mudata import MuData

import scarches_plus as sp
from scarches_plus.model import ReferenceSpec
from scarches_plus.pp import QueryError, check_query

pytestmark = pytest.mark.border


def follow(message, **names):
    """Run the code that a message advises, and return the names it knows."""
    code = re.search(
        r"(?:^|[:;] |, )((?:adata|mdata|sp|sc|query|reference)\b[\w.]*(?:, report)?(?:\[.*?\])?(?: = |\.|\().*?)(?:; or|, or| \(on_problem|\n|$)",
        message.split("Fix: ")[-1],
    )
    assert code, f"no code in {message!r}"
    space = {"np": np, "sp": sp, "sc": sc, **names}
    exec(code.group(1), space)  # noqa: S102 (our own message)
    return space


def map_it(adata, **options):
    return sp.tl.map_query(adata, model(), **{**FAST, **options})


def test_counts_in_raw(border):
    adata = query()
    adata.raw = adata.copy()
    adata = with_x(adata, lambda x: np.log1p(per_cell(x)))
    adata.raw = query()
    told = border.refused(
        lambda: map_it(adata), QueryError, "adata.raw.to_adata()", kind="B6", case="counts are in adata.raw",
        shown="map_query(query, model)",
    )  # fmt: skip
    followed = follow(told, adata=adata)["adata"]
    border.works(
        lambda: map_it(followed), lambda _: "X_scarches" in followed.obsm, kind="B6",
        case="adata = adata.raw.to_adata()", shown="map_query(query, model)",
    )  # fmt: skip


@pytest.mark.parametrize("slot", ["layer", "X"])
def test_counts_elsewhere(border, slot):
    adata = query()
    if slot == "layer":
        adata.layers["umi"] = adata.X.copy()
        adata = with_x(adata, lambda x: np.log1p(per_cell(x)))
        options, advised = {}, "umi"
    else:
        adata.layers["logs"] = with_x(adata, lambda x: np.log1p(per_cell(x))).X
        options, advised = {"layer": "logs"}, "X"
    told = border.refused(
        lambda: map_it(adata, **options), QueryError, f"pass layer={advised!r}", kind="B6",
        case=f"counts are in {advised}", shown=f"map_query(query, model, **{options})",
    )  # fmt: skip
    layer = re.search(r"pass layer='(\w+)'", told).group(1)
    border.works(
        lambda: map_it(adata, layer=layer), lambda _: True, kind="B6", case=f"layer={layer!r}",
        shown=f"map_query(query, model, layer={layer!r})",
    )  # fmt: skip


@pytest.mark.parametrize("dense", [True, False])
def test_multiplied(border, dense):
    adata = with_x(query(), lambda x: 7 * x)
    adata.X = adata.X.toarray() if dense else adata.X
    told = border.refused(
        lambda: map_it(adata), QueryError, "divide by it", kind="B6", case="counts times 7", shown="map_query(query, model)",
    )  # fmt: skip
    followed = follow(told, adata=adata)["adata"]
    assert (np.asarray(followed.X.sum()) == query().X.sum()).all()
    border.works(lambda: map_it(followed), lambda _: True, kind="B6", case="divided", shown="map_query(query, model)")


@pytest.mark.parametrize("more_genes", [False, True])
def test_empty_cells(border, more_genes):
    adata = with_x(query(), lambda x: np.where(np.arange(len(x))[:, None] < 12, 0, x))
    if more_genes:
        adata.var_names = [*adata.var_names[:-1], "another"]
        adata = with_x(adata, lambda x: np.where(np.arange(x.shape[1]) == x.shape[1] - 1, 5, x))
    told = border.refused(
        lambda: map_it(adata), QueryError, "12 cells have no counts", kind="B6",
        case="empty cells" + (" on the reference's genes" if more_genes else ""), shown="map_query(query, model)",
    )  # fmt: skip
    fix = told.split("for example ")[-1] if "for example" in told else told
    followed = follow(fix, adata=adata, model=model())["adata"]
    border.works(
        lambda: map_it(followed), lambda _: followed.n_obs == 228, kind="B6", case="without empty cells",
        shown="map_query(query, model)",
    )  # fmt: skip


def _twice(adata):
    adata.obs = pd.concat([adata.obs, adata.obs[["batch"]]], axis=1)
    return adata


def _no_name(adata):
    names = adata.var_names.to_numpy(dtype=object).copy()
    names[3] = np.nan
    adata.var.index = pd.Index(names)
    return adata


def _same_genes(adata):
    adata.var_names = [*adata.var_names[:-1], "gene1"]
    return adata


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@pytest.mark.parametrize("damage", [_twice, _no_name, _same_genes])
def test_names(border, damage):
    adata = damage(query())
    told = border.refused(
        lambda: map_it(adata),
        QueryError,
        "Fix:",
        kind="B6",
        case=f"names: {damage.__name__}",
        shown="map_query(query, model)",
    )
    fix = told.replace("rename them with adata", "rename them: adata")
    followed = follow(fix, adata=adata, model=model())["adata"]
    border.works(
        lambda: map_it(followed), lambda _: True, kind="B6", case=f"names, mended: {damage.__name__}",
        shown="map_query(query, model)",
    )  # fmt: skip


def test_numbers_as_names(border):
    adata = query()
    adata.var.index = pd.RangeIndex(adata.n_vars)
    spec = ReferenceSpec(var_names=tuple(map(str, range(adata.n_vars))))
    told = border.refused(
        lambda: check_query(adata, spec).raise_for_problems(), QueryError, "astype(str)", kind="B6",
        case="names of genes are numbers", shown="check_query(query, model)",
    )  # fmt: skip
    followed = follow(told.split("\n")[1], adata=adata)["adata"]
    border.works(
        lambda: check_query(followed, spec).raise_for_problems(), lambda _: True, kind="B6",
        case="names of genes as text", shown="check_query(query, model)",
    )  # fmt: skip


def test_covariates(border):
    adata = query()
    adata.obs["age"] = pd.Categorical(["7"] * adata.n_obs)
    spec = ReferenceSpec(var_names=tuple(adata.var_names), continuous_covariates=("age",))
    told = border.refused(
        lambda: check_query(adata, spec).raise_for_problems(), QueryError, "is not numeric", kind="B6",
        case="a covariate of text", shown="check_query(query, model)",
    )  # fmt: skip
    followed = follow(told, adata=adata)["adata"]
    border.works(
        lambda: check_query(followed, spec).raise_for_problems(), lambda _: True, kind="B6",
        case="a covariate of numbers", shown="check_query(query, model)",
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@pytest.mark.parametrize("lost", ["query", "reference"])
def test_a_record_that_was_lost(border, lost):
    adata, reference = query(), ref()
    mapped_model = map_it(adata)
    cells = {"query": adata, "reference": reference}
    half = cells[lost].n_obs // 2
    cells[lost] = anndata.concat([cells[lost][:half], cells[lost][half:]])  # drops uns
    told = border.refused(
        lambda: sp.tl.transfer_labels(cells["query"], cells["reference"], "cell_type"), ValueError,
        f"embed the {lost} again", kind="B6", case=f"anndata.concat dropped uns of the {lost}",
        shown="transfer_labels(query, reference, 'cell_type')",
    )  # fmt: skip
    follow(told, mapped_model=mapped_model, **cells)
    border.works(
        lambda: sp.tl.transfer_labels(cells["query"], cells["reference"], "cell_type"),
        lambda _: "cell_type_pred" in cells["query"].obs, kind="B6", case=f"{lost} embedded again",
        shown="transfer_labels(query, reference, 'cell_type')",
    )  # fmt: skip


def test_cells_on_disk(border, tmp_path):
    query().write_h5ad(tmp_path / "query.h5ad")
    adata = anndata.read_h5ad(tmp_path / "query.h5ad", backed="r")[:100]
    told = border.refused(
        lambda: map_it(adata), ValueError, "adata = adata.to_memory()", kind="B6", case="a view of cells on disk",
        shown="map_query(backed[:100], model)",
    )  # fmt: skip
    followed = follow(told, adata=adata)["adata"]
    border.works(
        lambda: map_it(followed), lambda _: "X_scarches" in followed.obsm, kind="B6", case="in memory",
        shown="map_query(query, model)",
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:The lr scheduler dict contains")
@pytest.mark.parametrize("how", ["fewer", "other order"])
def test_modalities(border, how):
    whole = proteins_query()
    some = slice(0, 150) if how == "fewer" else slice(None, None, -1)
    mdata = MuData({"rna": whole.mod["rna"], "protein": whole.mod["protein"][some].copy()})
    mdata.obs["batch"] = whole.obs["batch"].reindex(mdata.obs_names)
    told = border.refused(
        lambda: sp.tl.map_query(mdata, proteins_model(), **FAST), QueryError, "intersect_obs", kind="B6",
        case=f"proteins of cells in {how}", shown="map_query(mdata, model)",
    )  # fmt: skip
    followed = follow(told, mdata=mdata)["mdata"]
    border.works(
        lambda: sp.tl.map_query(followed, proteins_model(), **FAST), lambda _: "X_scarches" in followed.obsm, kind="B6",
        case=f"proteins, mended: {how}", shown="map_query(mdata, model)",
    )  # fmt: skip


def test_shared_batches(border):
    adata = ref()
    told = border.refused(
        lambda: map_it(adata), QueryError, "shared_batches=['batch0', 'batch1']", kind="B6",
        case="batches of the reference", shown="map_query(query, model)",
    )  # fmt: skip
    shared = eval(re.search(r"shared_batches=(\[.*?\])", told).group(1))
    border.works(
        lambda: map_it(adata, shared_batches=shared, strategy="all"), lambda _: True, kind="B6", case="shared_batches=[...]",
        shown="map_query(query, model, shared_batches=[...], strategy='all')",
    )  # fmt: skip


def test_an_embedding_with_gaps(border):
    adata = mapped()
    adata.obsm["X_scarches"][3] = np.nan
    border.refused(
        lambda: sp.tl.transfer_labels(adata, ref(), "cell_type"), ValueError, ("missing or infinite values in 1 cells",),
        kind="B6", case="an embedding with a gap", shown="transfer_labels(query, reference, 'cell_type')",
    )  # fmt: skip
    kept = adata[np.isfinite(adata.obsm["X_scarches"]).all(axis=1)].copy()
    border.works(
        lambda: sp.tl.transfer_labels(kept, ref(), "cell_type"), lambda _: kept.obs["cell_type_pred"].notna().all(),
        kind="B6", case="these cells left out", shown="transfer_labels(query, reference, 'cell_type')",
    )  # fmt: skip
