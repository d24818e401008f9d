"""Detect encoding, separator, header, decimal sign and orientation of a table of counts."""

from __future__ import annotations

import codecs
import csv
import math
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from scarches_plus import _limits
from scarches_plus._files import unpack_rest, unpacked
from scarches_plus._logging import logger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LINES = 20
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|$)")
_SEPARATORS = ("\t", ",", ";", " ")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: Comments, and the line by which Excel is told the separator.
_NO_HEADER = re.compile(r"#|\"?sep=.\"?$")
_BARCODE = re.compile(r"([\w.]+[_:.-])?[ACGTN]{8,}([-_.:]\w+)*")
_CELL = re.compile(r"(cell|barcode|sample|spot|nucleus)s?[ _.-]?\d+", re.IGNORECASE)
_GENE_ID = re.compile(r"ENS[A-Z]*G\d{6,}(\.\d+)?|FBgn\d{7}|WBGene\d{8}|AT[1-5CM]G\d{5}")
_NUMBERED_GENE = re.compile(r"(gene|feature)s?[ _.-]?\d+", re.IGNORECASE)
_GENE = re.compile(
    r"RP[LS]P?\d+[AXYL]?\d*|MT-\w+|HLA-\w+|CD\d+[A-Z]?|ACTB|GAPDH|B2M|MALAT1|EEF1A1|TMSB4X|FT[LH]1?|VIM|LYZ|NKG7|"
    r"TYROBP|INS|ALB|MS4A1|PTPRC|GNLY|CST3|S100A\d+|KRT\d+|COL\d+A\d+|APOE|EPCAM",
    re.IGNORECASE,
)
_GENE_CORNERS = {
    "gene",
    "genes",
    "symbol",
    "gene_symbol",
    "gene_name",
    "gene_id",
    "geneid",
    "ensembl",
    "feature",
    "features",
}
_CELL_CORNERS = {
    "cell",
    "cells",
    "barcode",
    "barcodes",
    "cell_id",
    "cellid",
    "cell_barcode",
    "cell_name",
    "index",
    "sample",
}


@dataclass(frozen=True)
class Layout:
    """The layout of a table of counts.

    Attributes
    ----------
    encoding, separator, decimal
        As pandas takes them.
    skip
        Lines before the header.
    columns
        Names of the columns after the first.
    corner
        What the header says of the first column.
    has_names
        Whether the first column holds names.
    """

    encoding: str
    separator: str
    decimal: str
    skip: int
    columns: tuple[str, ...]
    corner: str
    has_names: bool


def layout_of(path: Path) -> Layout:
    """Return the layout of a table of counts.

    Raises
    ------
    ValueError
        If it is not a table, or has no header.
    """
    with unpacked(path) as file:
        sample = file.read(_limits.TABLE_SAMPLE_BYTES)
        whole = not file.read(1)
        unpack_rest(file)
    encoding, text = decoded(path, sample, whole=whole)
    skip, lines, comment = _first_lines(text, whole=whole)
    if not lines:
        message = (
            "it holds no table"
            if whole
            else f"its first line is longer than {_limits.TABLE_SAMPLE_BYTES} characters: it is not a table"
        )
        raise ValueError(message)
    separator = _separator(lines)
    if _is_header(comment, lines[0], separator):
        skip, lines = skip - 1, [comment.lstrip("#"), *lines]
    try:
        rows = [[one.strip() for one in row] for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    except csv.Error as error:
        message = f"a field is longer than any name or number ({error}): it is not a table of counts"
        raise ValueError(message) from error
    header, body = rows[0], rows[1:]
    if not body:
        message = "it has one line only: a header, then one line for each cell (or gene) is needed"
        raise ValueError(message)
    if len(header) > _limits.TABLE_COLUMNS and whole and text.count("\n") < _limits.ROWS_OF_A_WIDE_TABLE:
        message = (
            f"it has {len(header)} columns, more than there are genes, and fewer than {_limits.ROWS_OF_A_WIDE_TABLE} "
            "lines: it is not a table of counts; one of cells in so many columns has a line for each gene"
        )
        raise ValueError(message)
    width = len(body[0])
    if len(header) not in {width, width - 1}:
        message = f"line {skip + 2} has {width} fields and the header {len(header)}: write as many in each line"
        raise ValueError(message)
    decimal = _decimal(body, separator)
    _require_header(header, body, decimal)
    if len(header) == width - 1:  # as R writes it
        header = ["", *header]
    has_names = not (all(is_number(row[0], decimal) for row in body) and header[0] and not _names_rows(header[0]))
    columns = header[1:] if has_names else header
    return Layout(encoding, separator, decimal, skip, tuple(columns), header[0] if has_names else "", has_names)


def genes_are(rows: Sequence[str], columns: Sequence[str], corner: str) -> tuple[Literal["rows", "columns"], bool]:
    """Return which side the genes are on, and whether names tell."""
    kinds = _kind(rows), _kind(columns)
    named = corner.strip().lower()
    kinds = (
        ("genes" if named in _GENE_CORNERS else "cells" if named in _CELL_CORNERS - {"index"} else kinds[0]),
        kinds[1],
    )
    if kinds[0] == kinds[1] and kinds[0]:
        kinds = _kind(rows), ""
    if kinds[0] == "genes" or kinds[1] == "cells":
        return "rows", True
    return "columns", kinds[0] == "cells" or kinds[1] == "genes"


def is_number(text: str, decimal: str = ".") -> bool:
    """Return whether text is a finite number."""
    try:
        value = float(text.replace(",", ".") if decimal == "," else text)
    except ValueError:
        return False
    return math.isfinite(value) and "_" not in text


def _kind(names: Sequence[str]) -> str:
    some = [str(name) for name in names[:20_000]]
    if not some:
        return ""
    if sum(bool(_BARCODE.fullmatch(one) or _CELL.fullmatch(one)) for one in some) > len(some) / 2:
        return "cells"
    if sum(bool(_GENE_ID.fullmatch(one) or _NUMBERED_GENE.fullmatch(one)) for one in some) > len(some) / 3:
        return "genes"
    known = sum(bool(_GENE.fullmatch(one)) for one in some)
    return "genes" if known >= min(3, len(some)) else ""


def _names_rows(corner: str) -> bool:
    return corner.strip().lower() in _GENE_CORNERS | _CELL_CORNERS | {"", "x", "unnamed: 0", "id", "name", "rownames"}


def decoded(path: Path, sample: bytes, *, whole: bool) -> tuple[str, str]:
    """Return the encoding of a text and the text; ``whole=False`` if it may end within a letter."""
    for bom, encoding in _BOMS:
        if sample.startswith(bom):
            return encoding, sample.decode(encoding, "ignore")
    try:
        return "utf-8", codecs.getincrementaldecoder("utf-8")().decode(sample, final=whole)
    except UnicodeDecodeError:
        logger.info("%s is not UTF-8; it is read as Windows-1252, in which other letters may be wrong", path)
        return "cp1252", sample.decode("cp1252", "replace")


def _first_lines(text: str, *, whole: bool) -> tuple[int, list[str], str]:
    """Return the number of lines before the header, the header with lines below it, and the comment above.

    The comment is the one right above the header.
    """
    start = text.lstrip()
    above = text[: len(text) - len(start)]
    skip = max(above.count("\n"), above.count("\r"))
    lines: list[str] = []
    comment = ""
    for found in islice(_LINE.finditer(start), _limits.HEAD_LINES):
        line = found[1]
        if not line.strip() or (not lines and _NO_HEADER.match(line)):
            skip += not lines
            comment = comment if lines else line
        elif whole or found.end() < len(start):  # else it is cut off
            lines.append(line)
        if len(lines) == _LINES or found.end() == len(start):
            break
    return skip, lines, comment


def _is_header(comment: str, below: str, separator: str) -> bool:
    """Return whether a line that begins with # is a header: it has a field for each one below, which are numbers."""
    if not comment.startswith("#"):
        return False
    names, values = csv.reader([comment, below], delimiter=separator, skipinitialspace=True)
    counts = values[1:]
    return len(names) in {len(values), len(counts)} and all(
        is_number(one.strip(), "," if separator != "," else ".") for one in counts
    )


def _separator(lines: list[str]) -> str:
    """Return the separator that cuts lines into the most fields, the same number in each."""
    best, most = "", 1
    for separator in _SEPARATORS:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
        except csv.Error:  # a field longer than any: the line is separated otherwise
            continue
        alike = len(set(counts[1:])) <= 1 and counts[0] - counts[-1] in {0, -1}
        if alike and counts[-1] > most:
            best, most = separator, counts[-1]
    if best:
        return best
    counted = {one: min(line.count(one) for line in lines) for one in _SEPARATORS}
    separator = max(counted, key=lambda one: counted[one])
    if not counted[separator]:
        message = (
            f"it is text, but not a table of counts: {lines[0][:60]!r} has no tab, comma, semicolon or blank between "
            "fields"
        )
        raise ValueError(message)
    return separator


def _decimal(body: list[list[str]], separator: str) -> str:
    if separator == ",":
        return "."
    commas = [one for row in body for one in row[1:] if re.fullmatch(r"-?\d+,\d+", one)]
    if not commas:
        return "."
    if all(re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", one) for one in commas):
        message = (
            f"{commas[0]!r} may stand for {commas[0].replace(',', '')} or {commas[0].replace(',', '.')}: write numbers "
            "without commas"
        )
        raise ValueError(message)
    logger.info("numbers have decimal commas, such as %s", commas[0])
    return ","


def _require_header(header: list[str], body: list[list[str]], decimal: str) -> None:
    """Refuse a table whose first line holds counts: its genes (or cells) would lose their first."""
    if len(header) < len(body[0]) or _names_rows(header[0]):
        return
    counts = [i for i in range(1, len(header)) if all(is_number(row[i], decimal) for row in body if i < len(row))]
    if not counts or not all(is_number(header[i], decimal) for i in counts):
        return
    what = "cells" if _kind([row[0] for row in (header, *body)]) == "genes" else "columns"
    message = (
        f"its first line holds numbers ({', '.join(header[:4])} ...), so that its {what} have no names: put a line "
        "with the names of genes (or cells) above it"
    )
    raise ValueError(message)
