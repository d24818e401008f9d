"""Matrices in HDF5 files that would crash compiled code are refused before they are read."""

import h5py
import numpy as np
import pytest
from cell_files import by_command
from mudata import MuData

import scarches_plus as sp
from scarches_plus.hub import BundleError

pytestmark = pytest.mark.border


def edited(key, edit):
    """Change the values of a data set."""

    def change(file):
        values = edit(file[key][:])
        attributes = dict(file[key].attrs)
        del file[key]
        file[key] = values
        file[key].attrs.update(attributes)

    return change


def at(place, value):
    def edit(values):
        values = values.astype("i8")
        values[place] = value
        return values

    return edit


def attribute(key, **values):
    def change(file):
        file[key].attrs.update(values)

    return change


A4 = {
    "an index beyond the columns": (edited("X/indices", at(3, 10**6)), "/X: its sparse matrix has the index 1000000"),
    "an index below 0": (edited("X/indices", at(3, -1)), "/X: its sparse matrix has the index -1"),
    "an index beyond 64 bits": (
        edited("X/indices", lambda one: np.full(len(one), 2**63, dtype="u8")),
        "/X: its sparse matrix has the index 9223372036854775808",
    ),
    "an index of a layer": (
        edited("layers/counts/indices", at(0, 2**31 - 1)),
        "/layers/counts: its sparse matrix has the index",
    ),
    "an index of obsm": (
        edited("obsm/sparse/indices", at(0, 500)),
        "/obsm/sparse: its sparse matrix has the index 500",
    ),
    "indptr that descends": (edited("X/indptr", at(5, 10**6)), "/X: indptr of its sparse matrix does not ascend"),
    "indptr below 0": (edited("X/indptr", at(0, -5)), "/X: indptr of its sparse matrix does not ascend"),
    "indptr that ends early": (edited("X/indptr", at(-1, 0)), "/X: indptr of its sparse matrix does not ascend"),
    "indptr of fewer rows": (edited("X/indptr", lambda one: one[: len(one) // 2]), "/X: indptr of its sparse matrix"),
    "indptr without rows": (edited("X/indptr", lambda one: one[:0]), "/X: indptr of its sparse matrix"),
    "fewer values than indices": (edited("X/data", lambda one: one[:-1]), "/X: its sparse matrix has"),
    "values that are texts": (
        edited("X/data", lambda one: one.astype("S3")),
        "/X: indices of its sparse matrix are int32, int32, and data |S3",
    ),
    "indices in two dimensions": (
        edited("X/indices", lambda one: one[:, None]),
        "/X: data, indices and indptr of its sparse matrix are not",
    ),
    "a shape with fewer rows": (
        attribute("X", shape=[60, 40]),
        "/X: its sparse matrix has the shape (60, 40), and indptr is of 120",
    ),
    "indices that are no integers": (edited("X/indices", lambda one: one.astype("f8")), "/X: indices of its sparse"),
    "a shape with fewer columns": (attribute("X", shape=[120, 2]), "/X: its sparse matrix has the index 39"),
    "a shape below 0": (attribute("X", shape=[-120, 40]), "/X: its sparse matrix has the shape"),
    "a shape of three": (attribute("X", shape=[120, 40, 1]), "/X: its sparse matrix has the shape"),
    "codes without a category": (edited("obs/batch/codes", at(0, 99)), "cannot be read: codes need to be between -1"),
    "codes below -1": (edited("obs/batch/codes", at(0, -5)), "cannot be read: codes need to be between -1"),
    "a column that is too long": (
        edited("obs/batch/codes", lambda one: np.r_[one, one]),
        "cannot be read: Length of values (240) does not match",
    ),
    "an encoding that nobody knows": (
        attribute("X", **{"encoding-type": "csr_matrix_2"}),
        "cannot be read: IORegistryError: No read method",
    ),
}


@pytest.mark.parametrize("case", A4)
def test_matrices_that_crash(border, changed, case):
    change, says = A4[case]
    folder = changed(change)
    border.in_child(
        lambda: sp.hub.import_reference(folder), BundleError, ("adata.h5ad", says),
        kind="A4", case=f"h5ad: {case}", shown="sp.hub.import_reference(folder)",
    )  # fmt: skip


@pytest.fixture
def h5mu(tmp_path, folder):
    import anndata

    rna = anndata.read_h5ad(folder / "whole.h5ad")
    protein = rna[:, :5].copy()
    protein.var_names = [f"protein{i}" for i in range(5)]
    MuData({"rna": rna, "protein": protein}).write(tmp_path / "cells.h5mu")
    by_command(tmp_path / "cells.h5mu", "--modality", "rna")  # what is imported once is no cost of a file
    return tmp_path / "cells.h5mu"


@pytest.fixture
def tenx(tmp_path, folder):
    import anndata

    rna = anndata.read_h5ad(folder / "whole.h5ad")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        matrix = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            matrix[name] = getattr(rna.X, name)
        matrix["shape"] = np.array(rna.shape[::-1])
        matrix["barcodes"] = np.array(rna.obs_names, dtype="S")
        names = np.array(rna.var_names, dtype="S")
        for name in ("id", "name"):
            matrix[f"features/{name}"] = names
        for name in ("feature_type", "genome"):
            matrix[f"features/{name}"] = np.array([b"Gene Expression"] * len(names))
    by_command(tmp_path / "raw.h5")
    return tmp_path / "raw.h5"


OTHERS = {
    "h5mu: an index beyond the columns": (
        "h5mu",
        edited("mod/rna/X/indices", at(0, 10**6)),
        "/mod/rna/X: its sparse matrix has the index",
    ),
    "h5mu: indptr that descends": ("h5mu", edited("mod/protein/X/indptr", at(2, 10**6)), "/mod/protein/X: indptr"),
    "10x: an index beyond the genes": (
        "tenx",
        edited("matrix/indices", at(0, 10**6)),
        "/matrix: its sparse matrix has the index",
    ),
    "10x: indptr that descends": ("tenx", edited("matrix/indptr", at(2, 10**6)), "/matrix: indptr"),
    "10x: a shape of 10^12 cells": ("tenx", edited("matrix/shape", at(1, 10**12)), "/matrix: its sparse matrix"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_hdf5_files(border, request, case):
    kind, change, says = OTHERS[case]
    path = request.getfixturevalue(kind)
    options = ("--modality", "rna") if kind == "h5mu" else ()
    with h5py.File(path, "a") as file:
        change(file)
    border.in_child(
        lambda: by_command(path, *options),
        ValueError,
        (path.name, says),
        kind="A4",
        case=case,
        shown=f"scarches-plus genes {path.name}",
    )
