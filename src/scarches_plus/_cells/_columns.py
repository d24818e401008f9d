"""Find a column of ``obs``, or raise one error that names similar columns, and read it as names."""

from __future__ import annotations

from collections.abc import Hashable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ._names import names_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

#: Names that a message lists.
_LISTED = 20


def column_of(table: pd.DataFrame, key: str, owner: str = "adata.obs") -> pd.Series:
    """Return a column.

    Parameters
    ----------
    table
        Such as ``adata.obs``.
    key
        Name of the column.
    owner
        Name of the table in messages.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If several columns have the name, or values are lists or the like.
    """
    if key not in table:
        raise KeyError(column_not_found(table, key, owner))
    column: Any = table[key]
    if column.ndim != 1:
        raise ValueError(column_repeated(table, key, owner))
    first = next(iter(column.dropna()), None) if column.dtype == object else None
    if not isinstance(first, Hashable):
        message = (
            f"column {key!r} of {owner} holds values such as {first!r}, which are no names; make them text or numbers"
        )
        raise ValueError(message)
    return column  # type: ignore[no-any-return]


def column_not_found(table: Any, key: Any, owner: str = "adata.obs") -> str:
    """Say that a table has no such column, or several not, and which ones come near."""
    there = list(dict.fromkeys(map(str, getattr(table, "columns", table))))
    keys = list(key) if isinstance(key, list | tuple | set) else [key]
    what = f"columns {keys}" if isinstance(key, list | tuple | set) else f"column {key!r}"
    lowered = {name.lower(): name for name in there}
    near = [lowered[one] for name in keys for one in get_close_matches(str(name).lower(), lowered, n=3)]
    hint = f"; did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?" if near else ","
    more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    return f"{what} not found in {owner}{hint} {'It' if near else 'which'} holds {there[:_LISTED]}{more}"


def column_repeated(table: pd.DataFrame, key: str, owner: str = "adata.obs") -> str:
    """Say that several columns have the same name, and how to keep the first."""
    n = int((table.columns == key).sum())
    keep = f"{owner} = {owner}.loc[:, ~{owner}.columns.duplicated()].copy()"
    return f"{n} columns of {owner} are named {key!r}; keep one of them: {keep}"


def complete_names(obs: pd.DataFrame, key: str) -> NDArray[np.object_]:
    """Return a column as names.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If it has missing values, or several columns have the name.
    """
    column = column_of(obs, key)
    n_missing = int(column.isna().sum())
    if n_missing:
        message = f"obs[{key!r}] has {n_missing} missing values; fill them in or remove these cells"
        raise ValueError(message)
    return names_of(column)
