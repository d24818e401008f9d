"""Turn results into values that JSON has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import Any

import pandas as pd


def plain(value: Any) -> Any:
    """Return a result as texts, numbers, lists and dicts, however its parts are nested.

    A table becomes a list of its rows, with its index where that has names. A column becomes a dict by its index, or a
    list of rows if names repeat. A missing value becomes ``None``; ``NaN`` stays a number.

    Raises
    ------
    TypeError
        If a part has no such form.
    """
    if isinstance(value, pd.DataFrame):
        named = value.index.names != [None]
        return plain((value.reset_index() if named else value).astype(object).to_dict("records"))
    if isinstance(value, pd.Series):
        return plain(value.astype(object).to_dict() if value.index.is_unique else value.reset_index())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(one) for one in value), key=str)
    if hasattr(value, "tolist"):  # arrays, indexes, categories, numbers of numpy
        return plain(value.tolist())
    return _one(value)


def _one(value: Any) -> bool | float | str | None:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, Enum):
        return _one(value.value)
    if isinstance(value, PurePath | date | pd.Timedelta):
        return str(value)
    if isinstance(value, bool | int | float | str):
        return value
    message = f"a result of kind {type(value).__name__} cannot be written as JSON"
    raise TypeError(message)
