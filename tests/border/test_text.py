"""Foreign text is escaped where it is put out."""

import csv
import io

import pandas as pd
import pytest

from scarches_plus._text import for_csv, for_html, for_line, for_markdown, for_table, for_terminal
from scarches_plus.cli._files._report import MappingReport

pytestmark = pytest.mark.border


@pytest.mark.parametrize(
    ("escape", "given", "right"),
    [
        (for_terminal, "\x1b[31mred\x1b[0m", "[31mred[0m"),
        (for_line, "a\nb\tc", "a b c"),
        (for_html, "<b onclick='x'>", "&lt;b onclick=&#x27;x&#x27;&gt;"),
        (for_markdown, "[x](y) <b>|", "\\[x\\]\\(y\\) \\<b\\>\\|"),
        (for_table, "=1+2", "'=1+2"),
    ],
)
def test_each_output_has_its_escape(border, escape, given, right):
    border.works(
        lambda: escape(given),
        lambda found: found == right,
        kind="A6",
        case=escape.__name__,
        shown=f"{escape.__name__}({given!r})",
    )


CELLS = {
    "=1+1": "'=1+1",
    "+SUM(A1)": "'+SUM(A1)",
    "-2+3": "'-2+3",
    "@cmd": "'@cmd",
    "\t=1": "'\t=1",
    "\r=1": "'=1",
    " =1": "' =1",
    "\u200b=1": "'=1",
    "\uff1d1": "'\uff1d1",
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "-1.5e-3": "-1.5e-3",
    "+7": "+7",
    "T cell": "T cell",
    "CD4+": "CD4+",
}


@pytest.mark.parametrize("cell", CELLS)
def test_tables(border, cell):
    table = pd.DataFrame(
        {cell: pd.Categorical([cell, "x"]), "n": [-1.5, 2.0], "o": [cell, None]}, index=pd.Index([cell, "y"], name=cell)
    )

    def written():
        return list(csv.reader(io.StringIO(for_csv(table).to_csv())))

    right = CELLS[cell]
    border.works(
        written, lambda rows: rows == [[right, right, "n", "o"], [right, right, "-1.5", right], ["y", "x", "2.0", ""]],
        kind="A6", case="cell of a CSV table", shown=f"to_csv of {cell!r}",
    )  # fmt: skip


def test_pages(border, tmp_path):
    text = "<script>alert(1)</script>\x1b'\""
    table = pd.DataFrame({text: [text]}, index=pd.Index([text], name=text))
    page = MappingReport({text: 1.0}, {text: text, "list": [text]}, {text: table}, {})
    border.works(
        lambda: page.write_html(tmp_path / "page.html", text) or (tmp_path / "page.html").read_text(),
        lambda text: "<script" not in text, kind="A6", case="report.html", shown="scarches-plus report",
    )  # fmt: skip
