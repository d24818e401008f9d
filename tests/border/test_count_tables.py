"""Tables of counts are read as their names and layout say, or refused with what is wrong."""

import bz2
import gzip

import numpy as np
import pytest
from cell_files import by_command, few_cells, nearly_zero, same, table, table_of

pytestmark = [
    pytest.mark.border,
    pytest.mark.filterwarnings("ignore"),  # of writers
]


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
        seeds(tmp_path / name, case, *options, status=2, says="no gene of adata is a marker")
        found = seeds(tmp_path / name, case, *options, markers='{"a": ["z0"], "b": ["z1"]}')
        np.testing.assert_array_equal(found.X.toarray(), cells.X.toarray())
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
        lambda: by_command(tmp_path / "counts.csv"), lambda found: found.shape == (2, 30_000), kind="D",
        case="a .csv of 30,000 genes", shown="scarches-plus genes counts.csv",
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
        ("prose", lambda text: "hello\nworld\n", ["counts.csv", "not a table of counts", "'hello'"]),
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


def test_honest_tables_open(border, tmp_path):
    """Cells of 600 genes in 60,000, packed as far as gzip can; and more cells in columns than there are genes."""
    rows = [nearly_zero(60_000, 600)] * 100
    (tmp_path / "cells.csv.gz").write_bytes(gzip.compress(table(60_000, rows), 9))
    (tmp_path / "genes.csv").write_bytes(table(70_000, [nearly_zero(70_000, 700)] * 120))
    border.works(
        lambda: (by_command(tmp_path / "cells.csv.gz", gene="x0").shape, by_command(tmp_path / "genes.csv", gene="x0").shape),
        lambda shapes: shapes == ((100, 60_000), (120, 70_000)),
        kind="D", case="large tables that are nearly all zero", shown="scarches-plus genes cells.csv.gz",
    )  # fmt: skip


def test_tables_of_long_lines_open(tmp_path, limits):
    """Lines that were not looked at are not missing."""
    limits(looked_at=2**20)
    (tmp_path / "genes.csv").write_bytes(table(70_000, [nearly_zero(70_000, 700)] * 20))
    assert by_command(tmp_path / "genes.csv", gene="x0").n_vars == 70_000
