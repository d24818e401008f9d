"""Read DataFrames of pandas 1 to 3 from pickle records, without pandas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus._limits import PICKLE_TABLE_COLUMNS, PICKLE_TABLE_ROWS

from ._records import Name, Pairs, Record

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Table:
    """A table of numbers, such as the history of a training.

    Attributes
    ----------
    values
        Shape ``(n_rows, n_columns)``.
    index
        Shape ``(n_rows,)``.
    index_name
        Name of the index.
    columns
        Names of the columns; ``None`` if they are stored in a way that is not known.
    """

    values: np.ndarray
    index: np.ndarray
    index_name: str | None
    columns: list[str] | None


def table_of(record: Record, make: Callable[[Any], Any]) -> Table | None:
    """Return the table that a record of a ``DataFrame`` describes; ``None`` if it is stored in a way that is not known.

    Parameters
    ----------
    record
        The record.
    make
        Makes arrays and plain values of parts.
    """
    state = dict(_texts_first(record.state))
    manager = state.get("_mgr", state.get("_data"))
    found = _parts_of(manager)
    if found is None:
        return None
    (columns, rows), blocks = found
    index = _index_of(rows, make)
    names = _index_of(columns, make)
    if index is None or not blocks:
        return None
    placed: dict[int, np.ndarray] = {}
    for values, places in blocks:
        block = make(values)
        if not isinstance(block, np.ndarray) or block.ndim != 2 or block.shape[1] != len(index[0]):
            return None
        numbers = _places_of(places, make)
        if numbers is None or len(numbers) != len(block):
            return None
        placed |= dict(zip(numbers, block, strict=True))
    if sorted(placed) != list(range(len(placed))) or (names is not None and len(names[0]) != len(placed)):
        return None
    stacked = [placed[i] for i in range(len(placed))]
    same = len({one.dtype for one in stacked}) == 1
    values = np.stack(stacked if same else [one.astype(object) for one in stacked], axis=1)
    return Table(values, *index, None if names is None else [str(name) for name in names[0]])


def _texts_first(state: Any) -> list[tuple[str, Any]]:
    pairs = state.pairs if isinstance(state, Pairs) else []
    return [(key, value) for key, value in pairs if isinstance(key, str)]


def _parts_of(manager: Any) -> tuple[list[Any], list[tuple[Any, Any]]] | None:
    """Return axes, and values and places of blocks."""
    if not isinstance(manager, Record):
        return None
    if isinstance(manager.state, tuple) and len(manager.state) == 4:
        inner = dict(_texts_first(dict(_texts_first(manager.state[3])).get("0.14.1")))
        axes, listed = inner.get("axes"), inner.get("blocks")
        tables = [dict(_texts_first(one)) for one in listed] if isinstance(listed, list) else []
        blocks = [(one.get("values"), one.get("mgr_locs")) for one in tables]
    elif isinstance(manager.arguments, tuple) and len(manager.arguments) == 2:
        listed, axes = manager.arguments
        made = listed if isinstance(listed, list | tuple) else ()
        if not all(
            isinstance(one, Record) and isinstance(one.arguments, tuple) and len(one.arguments) > 1 for one in made
        ):
            return None
        blocks = [one.arguments[:2] for one in made]
    else:
        return None
    return (axes, blocks) if isinstance(axes, list) and len(axes) == 2 else None


def _index_of(record: Any, make: Callable[[Any], Any]) -> tuple[np.ndarray, str | None] | None:
    """Return values and name of an index."""
    if not isinstance(record, Record) or not isinstance(record.arguments, tuple) or len(record.arguments) != 2:
        return None
    kind, state = record.arguments
    told = dict(_texts_first(state))
    name = told.get("name") if isinstance(told.get("name"), str) else None
    if isinstance(kind, Name) and kind.name == "RangeIndex":
        bounds = [told.get(one) for one in ("start", "stop", "step")]
        if any(type(one) is not int for one in bounds) or 0 in bounds[2:]:
            return None
        rows = range(*bounds)  # type: ignore[arg-type]
        # every row has a value somewhere in the file, which the blocks are compared with
        return (np.arange(rows.start, rows.stop, rows.step), name) if len(rows) <= PICKLE_TABLE_ROWS else None
    data = told.get("data")
    if (
        isinstance(data, Record)
        and isinstance(data.function, Name)
        and data.function.name == "__pyx_unpickle_NDArrayBacked"
    ):
        held = (
            data.state if isinstance(data.state, tuple) else ()
        )  # texts of pandas 3: their type, and an array of them
        data = next((one for one in held if isinstance(one, Record) and one.state is not None), None)
    if (
        not isinstance(data, Record)
        or not isinstance(data.function, Name)
        or not data.function.module.startswith("numpy")
    ):
        return None
    values = make(data)
    return (values, name) if isinstance(values, np.ndarray) and values.ndim == 1 else None


def _places_of(record: Any, make: Callable[[Any], Any]) -> list[int] | None:
    """Return the numbers of the columns of a block."""
    if isinstance(record, Record) and isinstance(record.function, Name) and record.function.name == "slice":
        bounds = record.arguments
        if not isinstance(bounds, tuple) or any(type(one) not in {int, type(None)} for one in bounds) or not bounds:
            return None
        return list(range(PICKLE_TABLE_COLUMNS))[slice(*bounds[:3])]
    places = make(record)
    fits = isinstance(places, np.ndarray) and places.ndim == 1 and places.dtype.kind == "i"
    return places.tolist() if fits else None
