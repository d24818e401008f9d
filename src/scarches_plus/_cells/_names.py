"""Read a column of ``obs`` as text names, the same for 1, 1.0, "1" and b"1", and make texts plain."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from numpy.typing import NDArray


def name_of(value: Any) -> str:
    """Return a value as a name: whole floats read as integers, bytes as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def names_of(values: Any) -> NDArray[np.object_]:
    """Return a column as names, ``None`` where a value is missing.

    A gap in a column of integers turns all of them into floats: labels 0, 1, 2 come back as 0.0, 1.0, 2.0, and would be
    three others. Whole floats therefore read as integers.

    Parameters
    ----------
    values
        Series, index, categorical, array or list of shape ``(n,)``, of any type.

    Returns
    -------
    numpy.ndarray
        Text or ``None``, shape ``(n,)``.

    Raises
    ------
    ValueError
        If there is not one value for each cell, or values are lists or the like.
    """
    column = values if isinstance(values, pd.Series | pd.Index | pd.Categorical) else pd.Series(_listed(values))
    if getattr(column, "ndim", 1) != 1:
        message = f"names must be one column, not of shape {column.shape}"
        raise ValueError(message)
    try:
        codes, found = pd.factorize(column)
    except TypeError as error:
        message = f"the column {getattr(column, 'name', None)!r} holds values that are no names: {error}"
        raise ValueError(message) from error
    names = np.array([*map(name_of, found), None], dtype=object)
    return names[codes]


def unused_name(name: str, taken: Container[str]) -> str:
    """Return a name that is not taken: this one, with underscores appended until it is free."""
    while name in taken:
        name += "_"
    return name


def look_alike(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return names that are not among the known ones but look like one of them, and that one.

    They differ in what nobody sees: blanks, invisible characters, and how Unicode composes letters.
    """
    known = set(known)
    seen = {_as_seen(name): name for name in known}
    return {name: seen[_as_seen(name)] for name in names if name not in known and _as_seen(name) in seen}


def _as_seen(name: str) -> str:
    if name.isascii() and name.isprintable() and " " not in name:
        return name
    shown = "".join(one for one in unicodedata.normalize("NFKC", name) if unicodedata.category(one) not in {"Cc", "Cf"})
    return " ".join(shown.split())


def missing(names: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which of the names are none, shape ``(n,)``."""
    return np.asarray(pd.isna(names), dtype=bool)


def texts_of(values: Any, name: str) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Return an argument as names, ``"nan"`` where a value is missing, and where that is; both of shape ``(n,)``.

    Raises
    ------
    TypeError
        If it has not one entry for each cell; ``name`` is the argument's.
    """
    given = values if isinstance(values, pd.Series | pd.Categorical) else np.asarray(values, dtype=object)
    if given.ndim != 1:
        message = f"{name} must have one entry for each cell; its shape is {given.shape}"
        raise TypeError(message)
    names = names_of(given)
    lacking = missing(names)
    return np.where(lacking, "nan", names), lacking


def _listed(values: Any) -> NDArray[np.object_]:
    """Return values as objects: a list of numbers with a gap must not become text."""
    array = np.asarray(values, dtype=object)
    if array.ndim != 1:
        message = f"names must be one column, not of shape {array.shape}"
        raise ValueError(message)
    return array


def plain_texts(cells: Any) -> Any:
    """Return cells whose names and columns are no nullable strings, where anndata refuses to write these.

    Files of pandas 3 have them, read by pandas 2.
    """
    if anndata.settings.allow_write_nullable_strings is not False:
        return cells
    for axis in ("obs", "var"):
        table = getattr(cells, axis)
        columns = {name: _plain(column) for name, column in table.items() if _is_nullable(column)}
        if columns or _is_nullable(table.index):
            setattr(cells, axis, table.assign(**columns).set_axis(_plain(table.index)))
    return cells


def _is_nullable(texts: Any) -> bool:
    return isinstance(texts.dtype, pd.StringDtype)


def _plain(texts: Any) -> Any:
    plain = texts.astype(object)
    return plain.where(texts.notna(), None)
