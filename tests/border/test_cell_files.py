"""Commands read what users have, and say what a file is that holds no cells."""

import bz2
import gzip
import os
import random
import re
import zipfile

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from cell_files import MARKERS, few_cells, table_of, write_10x_folder, write_10x_h5, write_loom

from scarches_plus._cell_files import read_cells

pytestmark = [
    pytest.mark.border,
    pytest.mark.filterwarnings("ignore"),  # of writers
]


@pytest.fixture
def seeds(border, tmp_path):
    """Read a file by the command seeds, and return the cells it wrote."""

    def run(file, case, *options, says="wrote", status=0, kind="D"):
        (tmp_path / "markers.json").write_text(MARKERS)
        out = tmp_path / "out" / "seeds.h5ad"
        words = ["seeds", file, "--markers", tmp_path / "markers.json", "--n-seeds", 3, "--out", out, *options]
        border.command(words, says, kind=kind, case=case, status=status)
        return anndata.read_h5ad(out) if status == 0 else None

    return run


def same(found, cells):
    np.testing.assert_array_equal(found.X.toarray(), cells.X.toarray())
    assert list(found.var_names) == list(cells.var_names)
    assert list(found.obs_names) == list(cells.obs_names)
    assert (found.obs["seed_label"] != "Unknown").sum() >= 4
    return True


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


def _text(**options):
    return lambda table: table.to_csv(**options).encode()


@pytest.mark.parametrize(
    ("case", "name", "transposed", "write", "options"),
    [
        ("a .csv of cells x genes", "counts.csv", False, _text(), []),
        ("a .tsv.gz of genes x cells", "counts.tsv.gz", True, lambda table: gzip.compress(_text(sep="\t")(table)), []),
        ("a .csv.bz2", "counts.csv.bz2", False, lambda table: bz2.compress(_text()(table)), []),
        ("semicolons, BOM and Windows' line ends", "counts.csv", False,
         lambda table: b"\xef\xbb\xbf" + _text(sep=";", lineterminator="\r\n")(table), []),
        ("UTF-16, as Excel saves Unicode text", "counts.txt", False, lambda table: table.to_csv(sep="\t").encode("utf-16"), []),
        ("R's write.table: the header is one field short", "counts.txt", True,
         lambda table: table.to_csv(sep=" ", quoting=2).split(" ", 1)[1].encode(), []),
        ("decimal commas", "counts.csv", False, _text(sep=";", decimal=",", float_format="%.1f"), []),
        ("a comment above, an empty column at the end", "counts.csv", False,
         lambda table: b"# from a core facility\n" + b"".join(line + b",\n" for line in _text()(table).splitlines()), []),
        ("names that do not tell, turned", "counts.csv", True,
         lambda table: _text()(table.set_axis([f"x{i}" for i in range(table.shape[1])], axis=1)
                               .set_axis([f"z{i}" for i in range(len(table))])), ["--transpose"]),
        ("Excel's line of the separator", "counts.csv", False, lambda table: b"sep=;\r\n" + _text(sep=";")(table), []),
        ("line ends of old Macs", "counts.csv", False, _text(lineterminator="\r"), []),
        ("all quoted", "counts.csv", False, _text(quoting=1), []),
    ],
)  # fmt: skip
def test_tables(seeds, tmp_path, case, name, transposed, write, options):
    cells = few_cells()
    table = table_of(cells, transposed=transposed)
    (tmp_path / name).write_bytes(write(table * 1.0 if "decimal" in case else table))
    if "do not tell" in case:
        found = read_cells(tmp_path / name, transpose=True)
        np.testing.assert_array_equal(found.X.toarray(), cells.X.toarray())
        seeds(tmp_path / name, case, *options, status=2, says="no gene of adata is a marker")
    else:
        assert same(seeds(tmp_path / name, case, *options), cells)


def test_columns_come_from_the_table_or_another(seeds, tmp_path):
    cells = few_cells()
    table = table_of(cells)
    table.insert(0, "batch", ["lane"] * cells.n_obs)
    table.to_csv(tmp_path / "counts.csv")
    assert set(seeds(tmp_path / "counts.csv", "a column of text in a table of counts").obs["batch"]) == {"lane"}
    table_of(cells).to_csv(tmp_path / "bare.csv")
    cells.obs[["batch", "cell_type"]].to_csv(tmp_path / "columns.tsv", sep="\t")
    found = seeds(tmp_path / "bare.csv", "columns from another table", "--columns", tmp_path / "columns.tsv")
    assert list(found.obs["cell_type"]) == list(cells.obs["cell_type"])
    cells.obs[["batch"]].iloc[1:].to_csv(tmp_path / "columns.tsv", sep="\t")
    seeds(
        tmp_path / "bare.csv", "a table of columns that lacks a cell", "--columns", tmp_path / "columns.tsv",
        says=["columns.tsv lacks 1 of 40 cells", str(cells.obs_names[0])], status=2,
    )  # fmt: skip


def test_a_table_without_a_header_and_its_advice(seeds, tmp_path):
    cells = few_cells()
    file = tmp_path / "counts.csv"
    table_of(cells).to_csv(file, header=False)
    seeds(file, "a table without a header", says=["counts.csv", "its first line holds numbers", "put a line"], status=2)
    names = ",".join(["", *cells.var_names])
    file.write_text(f"{names}\n{file.read_text()}")
    assert same(seeds(file, "the same with the line put above it"), cells)


def test_tables_of_as_many_genes_as_there_are(border, tmp_path):
    names = [f"gene{i}" for i in range(30_000)]
    (tmp_path / "counts.csv").write_text("".join(",".join(row) + "\n" for row in (
        ["", *names], *(["cell1", *"01" * 15_000], ["cell2", *"30" * 15_000]))))  # fmt: skip
    border.works(
        lambda: read_cells(tmp_path / "counts.csv"), lambda found: found.shape == (2, 30_000), kind="D",
        case="a .csv of 30,000 genes", shown="read_cells('counts.csv')",
    )  # fmt: skip


def test_names_that_occur_twice_are_numbered(seeds, tmp_path):
    cells = few_cells()
    table_of(cells).rename(columns={"gene5": "gene4"}).to_csv(tmp_path / "counts.csv")
    assert "gene4-1" in seeds(tmp_path / "counts.csv", "a gene twice in a table").var_names


@pytest.mark.parametrize(
    ("case", "change", "says"),
    [
        ("a word among counts", lambda text: text.replace(",0", ",zero", 1), ["counts.csv", "row ", "column 'gene", "'zero'"]),
        ("a hole", lambda text: text.replace(",0", ",", 1), ["counts.csv", "row ", "column 'gene", "is empty"]),
        ("NA among counts", lambda text: text.replace(",0", ",NA", 1), ["counts.csv", "'NA'", "0 for none"]),
        ("infinity among counts", lambda text: text.replace(",0", ",inf", 1), ["counts.csv", "'inf'"]),
        ("a line too long", lambda text: text + "cell,1" * 30 + "\n", ["counts.csv", "line 42 has"]),
        ("a line too short", lambda text: text + "last,1\n", ["counts.csv", "row 'last'", "is empty"]),
        ("a header only", lambda text: text.splitlines()[0] + "\n", ["counts.csv", "one line only"]),
        ("prose", lambda text: "hello\nworld\n", ["counts.csv", "no table of counts", "'hello'"]),
        ("a row without a name", lambda text: text.replace("\ncell0,", "\n,", 1), ["counts.csv", "row 1 has no name"]),
        ("thousands or decimals?", lambda text: ";a;b\nx;1,234;2\ny;2;3\n", ["counts.csv", "'1,234' may stand for"]),
        ("a header of another length", lambda text: "a,b\n" + text, ["counts.csv", "fields and the header 2"]),
    ],
)  # fmt: skip
def test_tables_that_are_wrong(seeds, tmp_path, case, change, says):
    file = tmp_path / "counts.csv"
    cells = few_cells()
    cells.obs_names = [f"cell{i}" for i in range(cells.n_obs)]
    table_of(cells).to_csv(file)
    file.write_text(change(file.read_text()))
    seeds(file, case, says=says, status=2)


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
        ("cell.h5ad", ["cell.h5ad is no file", "near it: ", "cells.h5ad"]),
        ("empty", ["empty is a folder without cells", ".h5ad"]),
        ("circle.h5ad", ["circle.h5ad", "leads to itself"]),
        ("broken.h5ad", ["broken.h5ad is a link to", "gone.h5ad"]),
        ("pipe.h5ad", ["pipe.h5ad is no regular file"]),
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


MTX = b"%%MatrixMarket matrix coordinate integer general\n"


def table(n_columns, rows):
    """Return a table of counts, whose rows are given as text."""
    return b"," + b",".join(b"x%d" % i for i in range(n_columns)) + b"\n" + b"\n".join(b"y," + row for row in rows)


def nearly_zero(n_columns, n):
    """Return the text of a row in which some counts are 1."""
    row = [b"0"] * n_columns
    for i in random.Random(0).sample(range(n_columns), n):
        row[i] = b"1"
    return b",".join(row)


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
        lambda: read_cells(tmp_path / name), ValueError, name, kind="D", case=case, shown=f"read_cells({name!r})"
    )


def test_honest_tables_open(border, tmp_path):
    """Cells of 600 genes in 60,000, packed as far as gzip can; and more cells in columns than there are genes."""
    rows = [nearly_zero(60_000, 600)] * 100
    (tmp_path / "cells.csv.gz").write_bytes(gzip.compress(table(60_000, rows), 9))
    (tmp_path / "genes.csv").write_bytes(table(70_000, [nearly_zero(70_000, 700)] * 120))
    border.works(
        lambda: (read_cells(tmp_path / "cells.csv.gz").shape, read_cells(tmp_path / "genes.csv").shape),
        lambda shapes: shapes == ((100, 60_000), (120, 70_000)),
        kind="D", case="large tables that are nearly all zero", shown="read_cells('cells.csv.gz')",
    )  # fmt: skip


@pytest.mark.parametrize("contents", [b"a\n" * 10**8, b"a" + b"\t" * 10**8], ids=["many names", "many columns"])
def test_names_beside_a_matrix(border, tmp_path, contents):
    (tmp_path / "matrix.mtx").write_bytes(MTX + b"2 2 1\n1 1 1\n")
    (tmp_path / "features.tsv").write_text("a\nb\n")
    (tmp_path / "barcodes.tsv.gz").write_bytes(gzip.compress(contents, 1))
    border.in_child(
        lambda: read_cells(tmp_path), ValueError, "matrix", kind="A3", case=f"10x folder, packed {contents[:2]!r} without end",
        shown="read_cells('folder')",
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
        lambda: read_cells(path), ValueError, "cells.loom", kind="C3", case=f".loom: {case}", shown="read_cells('cells.loom')",
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
            lambda name=name: read_cells(tmp_path / name),
            ValueError,
            [name, says],
            kind="D",
            case=case,
            shown=f"read_cells({name!r})",
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
            lambda name=name: read_cells(tmp_path / name),
            ValueError,
            name,
            kind="D",
            case=case,
            shown=f"read_cells({name!r})",
        )


@pytest.mark.parametrize(
    ("case", "header"),
    [
        ("a header that begins with #", lambda text: "#" + text.replace(",", "cell,", 1)),
        ("a header of genes only that begins with #", lambda text: "#" + text[1:]),
        ("a comment, and a header that begins with #", lambda text: "# of 2026, by me\n#" + text),
    ],
)
def test_headers_that_look_like_comments(border, seeds, tmp_path, case, header):
    cells = few_cells()
    (tmp_path / "counts.csv").write_text(header(table_of(cells).to_csv()))
    same(seeds(tmp_path / "counts.csv", case), cells)


@pytest.mark.parametrize("address", ["https://example.org/cells.h5ad", "s3://bucket/cells.h5ad"])
def test_addresses_are_no_files(seeds, address):
    seeds(address, f"an address: {address}", says=["is an address, and no file", "download it"], status=2)
