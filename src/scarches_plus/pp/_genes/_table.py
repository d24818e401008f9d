"""Read a user's table of gene names from a file, DataFrame or mapping."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus._files import read_unpacked

from ._known import is_gene
from ._names import is_stable_id, strip_version

if TYPE_CHECKING:
    from collections.abc import Sequence

#: ``map_gene_ids`` and ``map_orthologs`` take these.
Table = pd.DataFrame | pd.Series | Mapping[str, str] | str | Path


def read_table(table: Table, columns: Sequence[str] | None = None, *, strip_versions: bool = False) -> pd.DataFrame:
    """Return distinct pairs of names as text, columns ``"source"`` and ``"target"``, without missing or empty ones.

    Raises
    ------
    TypeError
        If the table is of no known kind.
    KeyError
        If a column does not exist.
    ValueError
        If it is not clear which columns to take, or the table is empty or has no header.
    OSError
        If there is no such file, or it is far larger than such tables are.
    """
    if isinstance(table, str | Path):
        path, table = table, _read_file(table)
        if sum(is_stable_id(strip_version(one)) or is_gene(one) for one in table.columns) > 1:
            message = (
                f"the first line of {path} holds genes, {list(table.columns)}; write the names of the columns above it"
            )
            raise ValueError(message)
    if isinstance(table, pd.DataFrame):
        pairs = _two_columns(table, columns)
    elif isinstance(table, pd.Series | Mapping):
        if columns is not None:
            message = "columns has no use: a mapping or Series has none"
            raise ValueError(message)
        series = pd.Series(table, dtype=object)
        pairs = pd.DataFrame({"source": series.index, "target": series.to_numpy()})
    else:
        message = (
            f"table must be a DataFrame, a mapping, a Series or the path of a csv or tsv file, not {check.shown(table)}"
        )
        raise TypeError(message)
    pairs = pairs.dropna().astype(str)
    pairs = pairs[(pairs != "").all(axis=1)]
    if strip_versions:
        pairs["source"] = pairs["source"].map(strip_version)
    if pairs.empty:
        message = "table holds no pair of names"
        raise ValueError(message)
    return pairs.drop_duplicates(ignore_index=True)


def _read_file(name: str | Path) -> pd.DataFrame:
    """Read a csv or tsv file of this machine; pandas would fetch addresses, and unpack without end."""
    if "://" in str(name):
        message = f"table={str(name)!r} is an address, which is not fetched; download it and pass the path of the file"
        raise ValueError(message)
    path = Path(name)
    contents = read_unpacked(path, at_most=_limits.GENE_TABLE_BYTES)
    separator = "," if ".csv" in path.suffixes else "\t"
    try:
        return pd.read_csv(BytesIO(contents), sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:  # pandas' errors, and those of the encoding
        message = f"{path} is no table of gene names ({error}); write two columns of text, with their names above"
        raise ValueError(message) from error


def _two_columns(table: pd.DataFrame, columns: Sequence[str] | None) -> pd.DataFrame:
    chosen: list[Any] = list(table.columns if columns is None else columns)
    missing = [column for column in chosen if column not in table]
    if missing:
        message = f"columns {missing} not found in the table, which holds {table.columns.tolist()}"
        raise KeyError(message)
    if len(chosen) != 2:
        message = f"name two columns, columns=(from, to), of {table.columns.tolist()}"
        raise ValueError(message)
    return table[chosen].set_axis(["source", "target"], axis=1)
