"""Commands read what users have, and say what a file is that holds no cells."""

import gzip
import os
import zipfile

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from cell_files import few_cells, same, write_10x_folder, write_10x_h5, write_loom

pytestmark = [
    pytest.mark.border,
    pytest.mark.filterwarnings("ignore"),  # of writers
]


def _h5ad_named_h5(cells, folder):
    cells.write_h5ad(folder / "cells.h5")
    return folder / "cells.h5"


def _zarr(cells, folder):
    cells.write_zarr(folder / "cells.zarr")
    return folder / "cells.zarr"


def _h5mu(cells, folder):
    other = anndata.AnnData(np.ones((cells.n_obs, 2)), cells.obs[[]], pd.DataFrame(index=["p1", "p2"]))
    mudata.MuData({"rna": cells, "prot": other}).write_h5mu(folder / "cells.h5mu")
    return folder / "cells.h5mu"


def _prefix(cells, folder):
    write_10x_folder(cells, folder / "mtx", prefix="donor1_")
    write_10x_folder(cells, folder / "mtx", prefix="donor2_")
    return folder / "mtx" / "donor1_"


def _the_mtx_itself(cells, folder):
    return write_10x_folder(cells, folder / "mtx", packed=False) / "matrix.mtx"


@pytest.mark.parametrize(
    ("case", "write"),
    [
        ("an h5ad named .h5", _h5ad_named_h5),
        ("a 10x .h5 named .h5ad", lambda cells, folder: write_10x_h5(cells, folder / "cells.h5ad")),
        ("a 10x .h5 with antibodies", lambda cells, folder: write_10x_h5(cells, folder / "cells.h5", antibodies=3)),
        ("a 10x .h5 of Cell Ranger 2", lambda cells, folder: write_10x_h5(cells, folder / "cells.h5", version=2)),
        ("a 10x folder of Cell Ranger 3", lambda cells, folder: write_10x_folder(cells, folder / "mtx")),
        ("a 10x folder of Cell Ranger 2",
         lambda cells, folder: write_10x_folder(cells, folder / "mtx", version=2, packed=False)),
        ("a 10x folder, features not packed", lambda cells, folder: write_10x_folder(cells, folder / "mtx", packed=False)),
        ("what 10x file names begin with", _prefix),
        ("the .mtx file itself", _the_mtx_itself),
        ("a .zarr folder", _zarr),
        ("a .loom file", lambda cells, folder: write_loom(cells, folder / "cells.loom")),
        ("an .h5mu file", _h5mu),
    ],
)  # fmt: skip
def test_formats(seeds, tmp_path, case, write):
    cells = few_cells()
    assert same(seeds(write(cells, tmp_path), case), cells)


def _h5ad(folder):
    few_cells().write_h5ad(folder / "good.h5ad")
    return (folder / "good.h5ad").read_bytes()


@pytest.mark.parametrize(
    ("case", "name", "contents", "says"),
    [
        ("a truncated h5ad", "cells.h5ad", lambda good: good[: len(good) // 2], ["cells.h5ad", "damaged"]),
        ("an empty file", "cells.h5ad", lambda good: b"", ["cells.h5ad is empty"]),
        ("a web page", "cells.h5ad", lambda good: b"<!DOCTYPE html><title>Sign in", ["cells.h5ad is a web page"]),
        ("a Git LFS pointer", "cells.h5ad",
         lambda good: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", ["Git LFS pointer", "git lfs pull"]),
        ("a packed h5ad", "cells.h5ad.gz", gzip.compress, ["cells.h5ad.gz", "gunzip"]),
        ("an .rds", "cells.rds", lambda good: gzip.compress(b"X\n\0\0\0\3\0\4\2\1"), ["R's data", "write_h5ad"]),
        ("an .RData", "cells.RData", lambda good: gzip.compress(b"RDX3\nX\n"), ["R's data", "write_h5ad"]),
        ("a .tar.gz", "cells.tar.gz", lambda good: gzip.compress(b"matrix.mtx".ljust(257, b"\0") + b"ustar\0"),
         ["tar archive", "tar -xf cells.tar.gz"]),
        ("a pickle", "cells.h5ad", lambda good: b"\x80\x04K\x01.", ["Python pickle", "no pickle is opened"]),
        ("a Parquet table", "cells.parquet", lambda good: b"PAR1\x15\x04", ["Parquet", "to_csv"]),
        ("a damaged gzip", "counts.csv.gz", lambda good: gzip.compress(b"a,b\n" * 5000)[:20], ["packed, but damaged"]),
        ("an .rds packed with xz", "cells.rds", lambda good: b"\xfd7zXZ\0\0\4", ["R's data", "write_h5ad"]),
        ("JSON", "cells.h5ad", lambda good: b'{"error": "not found"}', ["is JSON"]),
        ("random bytes", "cells.h5ad", lambda good: bytes(range(256)), ["binary data of an unknown kind"]),
    ],
)  # fmt: skip
def test_files_that_hold_no_cells(seeds, tmp_path, case, name, contents, says):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / name).write_bytes(contents(_h5ad(tmp_path)))
    seeds(tmp_path / "sub" / name, case, says=[name, *says], status=2)


def test_archives_and_other_hdf5(seeds, tmp_path):
    for name, member, says in (
        ("table.xlsx", "xl/workbook.xml", "Excel"),
        ("cells.zip", "matrix.mtx", "a zip archive: extract it"),
        ("cells.zarr.zip", "zarr.json", "a zipped .zarr"),
        ("model.pt", "archive/data.pkl", "--model"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, "")
        seeds(tmp_path / name, name, says=[name, says], status=2)
    for name, members, says in (
        ("cells.h5Seurat", ("assays/RNA", "cell.names/a"), "anndataR"),
        ("molecule_info.h5", ("barcode_idx/a",), "filtered_feature_bc_matrix.h5"),
        ("other.h5", ("something/else",), "without cells: it holds ['something']"),
    ):
        with h5py.File(tmp_path / name, "w") as file:
            for member in members:
                file[member] = 1
        seeds(tmp_path / name, name, says=[name, says], status=2)


def test_paths(seeds, tmp_path):
    cells = few_cells()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    (tmp_path / "empty").mkdir()
    (tmp_path / "circle.h5ad").symlink_to(tmp_path / "circle.h5ad")
    (tmp_path / "broken.h5ad").symlink_to(tmp_path / "gone.h5ad")
    os.mkfifo(tmp_path / "pipe.h5ad")
    write_10x_folder(cells, tmp_path / "outs" / "filtered_feature_bc_matrix")
    for name, says in (
        ("cell.h5ad", ["cell.h5ad is not a file", "near it: ", "cells.h5ad"]),
        ("empty", ["empty is a folder without cells", ".h5ad"]),
        ("circle.h5ad", ["circle.h5ad", "leads to itself"]),
        ("broken.h5ad", ["broken.h5ad is a link to", "gone.h5ad"]),
        ("pipe.h5ad", ["pipe.h5ad is not a regular file"]),
        ("outs", ["outs is a folder: pass", "filtered_feature_bc_matrix"]),
    ):
        seeds(tmp_path / name, f"a path: {name}", says=says, status=2)
    assert same(seeds(tmp_path / "outs" / "filtered_feature_bc_matrix", "the folder that was advised"), cells)


def test_home(seeds, tmp_path, monkeypatch):
    few_cells().write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setenv("HOME", str(tmp_path))
    seeds("~/cells.h5ad", "~ for the home folder")


def test_files_of_other_versions_and_without_names(seeds, tmp_path):
    few_cells().write_h5ad(tmp_path / "new.h5ad")
    with h5py.File(tmp_path / "new.h5ad", "a") as file:
        file["obs"].attrs["encoding-version"] = "9.9.0"
    seeds(
        tmp_path / "new.h5ad",
        "an .h5ad of a newer anndata",
        says=["new.h5ad", "newer", "pip install --upgrade"],
        status=2,
    )
    folder = write_10x_folder(few_cells(), tmp_path / "mtx", packed=False)
    (folder / "barcodes.tsv").rename(folder / "cells.csv")
    seeds(folder, "a 10x folder without barcodes", says=["mtx", "there is no barcodes.tsv"], status=2)
    write_10x_folder(few_cells(n_cells=30), tmp_path / "less", packed=False)
    (tmp_path / "less" / "barcodes.tsv").rename(folder / "barcodes.tsv")
    seeds(folder, "barcodes of other cells", says=["mtx", "belong together"], status=2)


@pytest.mark.parametrize("address", ["https://example.org/cells.h5ad", "s3://bucket/cells.h5ad"])
def test_addresses_are_no_files(seeds, address):
    seeds(address, f"an address: {address}", says=["is an address, and no file", "download it"], status=2)
