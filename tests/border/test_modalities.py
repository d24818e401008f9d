"""Proteins are looked at as genes are, and advice for a modality works."""

import numpy as np
import pytest
from border_cells import (
    FAST,
    model,
    per_cell,
    proteins_model,
    proteins_query,
    query,
)
from mudata import MuData

import scarches_plus as sp
from scarches_plus.pp import QueryError, check_query

pytestmark = pytest.mark.border
FEW = pytest.mark.filterwarnings(
    "ignore:warning. there are only", "ignore:warning. .* batches have fewer", "ignore:Category .* fewer than 3"
)


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
