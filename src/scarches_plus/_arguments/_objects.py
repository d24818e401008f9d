"""Check cells, paths, mappings and tables that users pass."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from ._messages import shown

if TYPE_CHECKING:
    from collections.abc import Sequence


def cells(name: str, value: Any, *, mudata: bool = False, or_none: bool = False) -> None:
    """Require an AnnData, or (``mudata``) a MuData, or (``or_none``) ``None``."""
    if isinstance(value, AnnData) or (mudata and _is_mudata(value)) or (or_none and value is None):
        return
    if _is_mudata(value):
        message = f"{name} must be an AnnData, not MuData: pass a modality, such as mdata['rna']"
    elif isinstance(value, str | os.PathLike):
        message = (
            f"{name} must be an AnnData, not a path: read it first, sc.read_h5ad({os.fspath(value)!r}), or leave its "
            "counts on disk, sp.pp.open_cells"
        )
    else:
        message = f"{name} must be an AnnData{' or MuData' if mudata else ''}, not {shown(value)}"
    raise TypeError(message)


def path(name: str, value: Any) -> Path:
    """Return a path, with the user's home for ``~``."""
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        message = f"{name} must be a path, not {shown(value)}"
        raise TypeError(message)
    if not os.fspath(value) or "\0" in os.fspath(value):
        message = f"{name} must be a path, and {os.fspath(value)!r} is none"
        raise ValueError(message)
    return at_home(value)


def at_home(value: str | os.PathLike[str]) -> Path:
    """Return a path with the user's home for ``~``; a file may be called ``~name`` where nobody is.

    Raises
    ------
    ValueError
        If no file can have such a name.
    """
    if "\0" in str(value):
        message = f"{str(value)!r} holds a character that no name can have"
        raise ValueError(message)
    try:
        return Path(value).expanduser()
    except RuntimeError:
        return Path(value)


def mapping(name: str, value: Any) -> Mapping[Any, Any]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        message = f"{name} must be a dict, not {shown(value)}"
        raise TypeError(message)
    return value


def table(name: str, value: Any, columns: Sequence[str], *, numbers: Sequence[str], made_by: str) -> None:
    """Require a DataFrame with unique columns, some of them of numbers.

    The function that makes such tables returns them so.
    """
    if not isinstance(value, pd.DataFrame):
        message = f"{name} must be a DataFrame, not {shown(value)}"
        raise TypeError(message)
    wrong = ""
    if lacking := [column for column in columns if column not in value]:
        wrong = f"lacks {lacking}"
    elif repeated := [column for column in columns if value[column].ndim != 1]:
        wrong = f"has several columns named {repeated}"
    elif texts := [column for column in numbers if not pd.api.types.is_numeric_dtype(value[column].infer_objects())]:
        wrong = f"has no numbers in {texts}"
    if wrong:
        message = f"{name} {wrong}: pass what {made_by} returned"
        raise ValueError(message)


def _is_mudata(value: Any) -> bool:
    mudata = sys.modules.get("mudata")  # who passes one has imported it
    return mudata is not None and isinstance(value, mudata.MuData)
