"""Read .csv and .tsv tables of counts, compressed or not."""

from __future__ import annotations

import io
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scarches_plus._files import unpacked
from scarches_plus._logging import logger

from ._layout import Layout, genes_are, is_number, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


#: Values that are read at a time.
_VALUES = 2**23
_NO_VALUE = {"", "na", "n/a", "nan", "null", "none", "inf", "-inf", "-", "."}


def read_table(path: Path, *, transpose: bool = False) -> AnnData:
    """Read counts of cells x genes or genes x cells.

    Names tell which of the two. Columns of text describe what is in the rows.

    Parameters
    ----------
    path
        The file.
    transpose
        Take it the other way round than its names, or else the default (cells in rows), say.

    Raises
    ------
    ValueError
        If there is no header, or a value is not a number, naming its row and column.
    """
    layout = layout_of(path)
    names: list[str] = []
    blocks: list[Any] = []
    described: list[pd.DataFrame] = []
    values: list[int] | None = None
    text: list[int] = []
    for chunk in _chunks(path, layout):
        n, first = len(chunk), len(names)
        names += _text_of(chunk.iloc[:, 0], first) if layout.has_names else [str(first + i) for i in range(n)]
        fields = chunk.iloc[:, int(layout.has_names) :]
        if fields.shape[1] != len(layout.columns):
            message = f"its lines have {fields.shape[1]} values, and the header {len(layout.columns)} names"
            raise ValueError(message)
        fields.columns = pd.RangeIndex(fields.shape[1])
        if values is None:
            values, text = _columns(fields, layout)
        blocks.append(sparse.csr_matrix(_numbers(fields[values], names[first:], layout)))
        described.append(fields[text].set_axis([layout.columns[i] for i in text], axis=1))
    if not blocks or not values:
        message = "it holds no columns of counts"
        raise ValueError(message)
    counts = sparse.vstack(blocks, format="csr")
    columns = [layout.columns[i] for i in values]
    about = pd.concat(described).set_axis(pd.Index(names, dtype=object), axis=0)
    genes, told = genes_are(names, columns, layout.corner)
    turned = {"rows": "columns", "columns": "rows"}
    genes = turned[genes] if transpose else genes  # type: ignore[assignment]
    why = (
        "as --transpose asks"
        if transpose
        else "as names tell"
        if told
        else "which names do not tell; --transpose turns it"
    )
    n_cells, n_genes = counts.shape if genes == "columns" else counts.shape[::-1]
    logger.info("%s: %d %s are genes and %d %s cells, %s", path, n_genes, genes, n_cells, turned[genes], why)
    if not layout.has_names:
        logger.info("%s: rows have no names, and are numbered from 0", path)
    if text:
        what = "cells" if genes == "columns" else "genes"
        logger.info("%s: columns %s hold text, and describe %s", path, list(about.columns), what)
    others = pd.DataFrame(index=pd.Index(columns, dtype=object))
    if genes == "columns":
        return AnnData(counts, obs=about, var=others)
    return AnnData(counts.T.tocsr(), obs=others, var=about)


def _chunks(path: Path, layout: Layout) -> Iterator[pd.DataFrame]:
    with unpacked(path) as raw, io.TextIOWrapper(raw, encoding=layout.encoding, errors="replace", newline="") as file:
        reader = pd.read_csv(
            file,
            sep=layout.separator,
            header=None,
            skiprows=_lines_to_skip(path, layout),
            decimal=layout.decimal,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=[""],
            dtype={0: str} if layout.has_names else None,
            chunksize=max(1, _VALUES // (len(layout.columns) + 1)),
            low_memory=False,
        )
        try:
            with reader:
                yield from reader
        except pd.errors.ParserError as error:
            found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
            if found is None:
                raise
            message = (
                f"line {found[2]} has {found[3]} fields, and those before it {found[1]}: write as many in each line"
            )
            raise ValueError(message) from error


def _lines_to_skip(path: Path, layout: Layout) -> int:
    """Return the number of the first line of values: comments, the header, and blank lines between."""
    with unpacked(path) as raw, io.TextIOWrapper(raw, encoding=layout.encoding, errors="replace") as file:
        for number, line in enumerate(file):
            if number >= layout.skip and line.strip():
                return number + 1
    return layout.skip + 1


def _columns(chunk: pd.DataFrame, layout: Layout) -> tuple[list[int], list[int]]:
    """Return which columns hold values, and which text that describes the rows; nameless empty ones are neither."""
    values: list[int] = []
    text: list[int] = []
    for column, dtype in enumerate(chunk.dtypes):
        if dtype.kind in "iuf" and layout.columns[column]:  # nearly all; a Series of each would take seconds
            values.append(column)
            continue
        series = chunk[column]
        if series.isna().all() and not layout.columns[column]:
            continue
        if dtype.kind not in "iuf" and _is_text(series, layout.decimal):
            text.append(column)
        else:
            values.append(column)
    if values and (without := [i + 2 for i in values if not layout.columns[i]]):
        message = f"columns {without[:5]} have no name in the header: name each gene (or cell)"
        raise ValueError(message)
    return values, text


def _is_text(series: pd.Series, decimal: str) -> bool:
    """Return whether a column describes the rows: no number in it, but words."""
    words = {str(one).strip().lower() for one in series.dropna().unique()}
    return bool(words - _NO_VALUE) and not any(is_number(word, decimal) for word in words)


def _numbers(chunk: pd.DataFrame, rows: list[str], layout: Layout) -> np.ndarray:
    """Return values as numbers."""
    if all(dtype.kind in "iuf" for dtype in chunk.dtypes):
        numbers = chunk.to_numpy(dtype=np.float64)
        if np.isfinite(numbers).all():
            return numbers.astype(np.float32)
    result = np.empty(chunk.shape, dtype=np.float32)
    for i, column in enumerate(map(int, chunk.columns)):
        texts = [str(one) for one in chunk[column]]
        wrong = [row for row, text in enumerate(texts) if not is_number(text, layout.decimal)]
        if wrong:
            value = chunk[column].iloc[wrong[0]]
            what = "is empty" if _is_missing(value) else f"holds {texts[wrong[0]][:40]!r}, which is not a number"
            message = (
                f"row {rows[wrong[0]]!r}, column {layout.columns[column]!r} {what}; write a count there, 0 for none"
                + (f" ({len(wrong)} such values in this column)" if len(wrong) > 1 else "")
            )
            raise ValueError(message)
        result[:, i] = [float(text.replace(",", ".") if layout.decimal == "," else text) for text in texts]
    return result


def _is_missing(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _text_of(names: pd.Series, first: int) -> list[str]:
    if names.isna().any():
        message = (
            f"row {first + int(np.flatnonzero(names.isna())[0]) + 1} has no name in its first field: name each row"
        )
        raise ValueError(message)
    return [str(name).strip() for name in names]
