"""JSON as strict as its standard, and no larger than what it is for: no key twice, no number that is none."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

from scarches_plus._limits import JSON_DIGITS, JSON_NAMES, JSON_VALUES
from scarches_plus._text import for_message

if TYPE_CHECKING:
    from pydantic import ValidationError


_MOST_SHOWN = 3


def parse_json(text: bytes, *, most_names: int = JSON_NAMES) -> Any:
    """Return what JSON says, in time and memory that grow with its length and no faster.

    Parameters
    ----------
    text
        JSON.
    most_names
        How many tables and keys of tables it may have.

    Raises
    ------
    ValueError
        If it is not valid JSON, gives a key twice, nests too deep, or has more values, names or digits than anything that is described.
    """
    n_values = sum(map(text.count, (b",", b"[", b"{")))  # or less: they may stand in texts
    if n_values > JSON_VALUES:
        message = f"has about {n_values} values, more than anything has ({JSON_VALUES})"
        raise ValueError(message)
    n_names = 0

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal n_names
        n_names += 1 + len(pairs)
        if n_names > most_names:
            message = f"has more than {most_names} names"
            raise ValueError(message)
        values = dict(pairs)
        if len(values) < len(pairs):
            _refuse_twice(pairs)
        return values

    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=table, parse_constant=_refuse_constant, parse_int=_whole,
            parse_float=_finite,
        )  # fmt: skip
    except RecursionError as error:
        message = "nests too deep"
        raise ValueError(message) from error


def first_problem(error: ValidationError) -> str:
    """Return where a description is wrong first, and why: one line, however long the description."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = for_message(".".join(map(str, first["loc"])), 100)
    return f"{place}: {for_message(first['msg'])}"


def write_json(sections: dict[str, Any]) -> bytes:
    """Return JSON with one line for each section."""
    lines = (f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in sections.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def finite(value: Any) -> Any:
    """Return plain values with ``None`` for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(key): finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if hasattr(value, "item"):  # a number of numpy
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _refuse_twice(pairs: list[tuple[str, Any]]) -> NoReturn:
    twice = sorted(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    more = f" and {len(twice) - _MOST_SHOWN} more" if len(twice) > _MOST_SHOWN else ""
    message = f"gives the keys {[for_message(name, 40) for name in twice[:_MOST_SHOWN]]}{more} twice"
    raise ValueError(message)


def _whole(digits: str) -> int:
    if len(digits) > JSON_DIGITS:
        message = f"holds a number of {len(digits)} digits"
        raise ValueError(message)
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refuse_constant(for_message(digits, 40))
    return value


def _refuse_constant(name: str) -> NoReturn:
    message = f"holds {name}, which is not JSON"
    raise ValueError(message)
