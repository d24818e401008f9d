"""Files of cells that declare or unpack to more than they hold, or lead elsewhere, cost little."""

import bz2
import gzip
import re

import h5py
import numpy as np
import pytest
from cell_files import by_command, few_cells, nearly_zero, table, write_loom

pytestmark = [
    pytest.mark.border,
    pytest.mark.filterwarnings("ignore"),  # of writers
]


MTX = b"%%MatrixMarket matrix coordinate integer general\n"


HOSTILE = {
    "an mtx that declares more than it holds": (
        "matrix.mtx", b"%%MatrixMarket matrix coordinate integer general\n2000000000 2000000000 4000000000\n1 1 1\n"),
    "an mtx of too many rows": (
        "matrix.mtx", b"%%MatrixMarket matrix coordinate integer general\n900000000000 2 1\n1 1 1\n"),
    "an mtx packed 200:1": ("matrix.mtx.gz", gzip.compress(MTX + b"2 2 9000000\n" + b"1 1 1\n" * 9 * 10**6, 1)),
    "an mtx of complex numbers": (
        "matrix.mtx", b"%%MatrixMarket matrix coordinate complex general\n2 2 1\n1 1 1 2\n"),
    "an mtx of index 0": ("matrix.mtx", MTX + b"2 2 1\n0 0 1\n"),
    "a packed table of zeros": ("counts.csv.bz2", bz2.compress(b",a,b\n" + b"x,0,0\n" * 10**7)),
    "packed blank lines below the table": ("counts.csv.gz", gzip.compress(b",a,b\nx,1,2\n" + b"\n" * 2**27, 1)),
    "a packed number without an end": ("counts.csv.gz", gzip.compress(b",a,b\nx,1,2\ny,1," + b"2" * 2**27, 1)),
    "one field of a million letters": ("counts.csv", b",a,b\nx,1,2\ny,1," + b"2" * 10**6 + b"\n"),
    "a packed line without an end": ("counts.csv.gz", gzip.compress(b"a," * 2**25)),
    "packed blank lines": ("counts.csv.gz", gzip.compress(b"\n" * 2**26)),
    "a header of a million fields": ("counts.csv", b"," * 10**6 + b"\nx,1\n"),
    "brackets in brackets": ("counts.csv", b'"' * 2**20 + b"\nx,1\n"),
    "counts of which one in 200 is not 0, packed 187:1": (
        "counts.csv.gz", gzip.compress(table(20_000, [nearly_zero(20_000, 100)] * 1_500))),
    "100,000 columns of three rows": ("counts.csv", table(100_000, [nearly_zero(100_000, 10_000)] * 3)),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_cost_little(border, tmp_path, case):
    name, contents = HOSTILE[case]
    (tmp_path / name).write_bytes(contents)
    for other in ("barcodes.tsv", "features.tsv"):
        (tmp_path / other).write_text("a\nb\n")
    import scipy.io  # noqa: F401 (not to be counted)

    border.in_child(
        lambda: by_command(tmp_path / name), ValueError, name, kind="D", case=case, shown=f"scarches-plus genes {name}"
    )


@pytest.mark.parametrize("contents", [b"a\n" * 10**8, b"a" + b"\t" * 10**8], ids=["many names", "many columns"])
def test_names_beside_a_matrix(border, tmp_path, contents):
    (tmp_path / "matrix.mtx").write_bytes(MTX + b"2 2 1\n1 1 1\n")
    (tmp_path / "features.tsv").write_text("a\nb\n")
    (tmp_path / "barcodes.tsv.gz").write_bytes(gzip.compress(contents, 1))
    border.in_child(
        lambda: by_command(tmp_path), ValueError, "matrix", kind="A3", case=f"10x folder, packed {contents[:2]!r} without end",
        shown="scarches-plus genes folder",
    )  # fmt: skip


LOOMS = {
    "a group for a matrix": lambda file: (file.__delitem__("matrix"), file.create_group("matrix")),
    "complex numbers": lambda file: (file.__delitem__("matrix"), file.create_dataset("matrix", data=np.zeros((20, 40), "c16"))),
    "a layer of another shape": lambda file: file.create_dataset("layers/small", data=np.zeros((2, 2))),
    "data for layers": lambda file: (file.__delitem__("layers"), file.create_dataset("layers", data=np.arange(3))),
    "names with fields": lambda file: (
        file.__delitem__("col_attrs/CellID"), file.create_dataset("col_attrs/CellID", data=np.zeros(40, [("a", "f4"), ("b", "S2")]))),
    "60 million cells of one gene": lambda file: (file.__delitem__("matrix"), file.create_dataset(
        "matrix", data=np.zeros((1, 6 * 10**7), "i1"), chunks=(1, 10**6), compression="gzip")),
}  # fmt: skip


@pytest.mark.parametrize("case", LOOMS)
def test_looms(border, tmp_path, case):
    path = write_loom(few_cells(), tmp_path / "cells.loom")
    with h5py.File(path, "a") as file:
        file.require_group("layers")
        LOOMS[case](file)
    border.in_child(
        lambda: by_command(path), ValueError, "cells.loom", kind="C3", case=f".loom: {case}", shown="scarches-plus genes cells.loom",
    )  # fmt: skip


def test_zarr_folders_that_lead_elsewhere_or_are_huge(border, tmp_path):
    for name in ("link.zarr", "huge.zarr", "bare.zarr"):
        few_cells().write_zarr(tmp_path / name)
    (tmp_path / "link.zarr" / "X" / "secret").symlink_to(tmp_path / "huge.zarr")
    described = next(
        one for name in ("zarr.json", ".zarray") if (one := tmp_path / "huge.zarr" / "X" / "data" / name).is_file()
    )
    described.write_text(re.sub(r'("shape": *\[\s*)\d+', r"\g<1>900000000000000", described.read_text()))
    (tmp_path / "bare.zarr" / "obs").rename(tmp_path / "bare.zarr" / "cells")
    for name, says, case in (
        ("link.zarr", "a link to somewhere else", "a .zarr with a link that leads out"),
        ("huge.zarr", "memory", "a .zarr that declares 4 PB"),
        ("bare.zarr", "it holds no cells", "a .zarr without cells"),
    ):
        border.in_child(
            lambda name=name: by_command(tmp_path / name),
            ValueError,
            [name, says],
            kind="D",
            case=case,
            shown=f"scarches-plus genes {name}",
        )


def test_hdf5_files_that_lead_elsewhere_or_are_huge(border, tmp_path):
    cells = few_cells()
    for name in ("link.h5ad", "huge.h5ad", "crash.h5ad"):
        cells.write_h5ad(tmp_path / name)
    with h5py.File(tmp_path / "link.h5ad", "a") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink(str(tmp_path / "huge.h5ad"), "X")
    with h5py.File(tmp_path / "huge.h5ad", "a") as file:
        del file["X"]
        file.create_dataset("X", shape=(10**7, 10**7), dtype="f4", chunks=(1000, 1000), compression="gzip")
    with h5py.File(tmp_path / "crash.h5ad", "a") as file:
        file["X/indices"][0] = 10**6
    for name, case in (
        ("link.h5ad", "an .h5ad that takes its counts from another file"),
        ("huge.h5ad", "an .h5ad that declares 400 TB"),
        ("crash.h5ad", "an .h5ad whose indices lead out of the matrix"),
    ):
        border.in_child(
            lambda name=name: by_command(tmp_path / name),
            ValueError,
            name,
            kind="D",
            case=case,
            shown=f"scarches-plus genes {name}",
        )
