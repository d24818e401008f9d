"""Parse and write strict JSON of limited size, without duplicate keys or NaN."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from scarches_plus import _limits
from scarches_plus._text import for_message

if TYPE_CHECKING:
    from pydantic import ValidationError

_MOST_SHOWN = 3
#: Numbers that may be infinite, or are long; others need no look.
_HUGE = re.compile(rb"[eE]\+?0*[1-9][0-9]{2}|(?<![0-9])[0-9]{%d}" % _limits.JSON_DIGITS)


def parse_json(text: bytes) -> Any:
    """Return what JSON says, in time and memory that grow with its length and no faster.

    Raises
    ------
    ValueError
        If it is not valid JSON, or gives a key twice, or nests too deep, or holds more than any file of this package.
    """
    _require_moderate(text)
    huge: dict[str, Any] = {"parse_int": _whole, "parse_float": _finite} if _HUGE.search(text) else {}
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant, **huge)
    except RecursionError as error:
        message = "nests too deep"
        raise ValueError(message) from error


def _require_moderate(text: bytes) -> None:
    """Refuse JSON that would take far more memory than it has bytes: what stands outside of texts is counted."""
    bare = np.frombuffer(text.replace(rb"\\", b"").replace(rb"\"", b""), np.uint8)
    bare = bare[~np.bitwise_xor.accumulate(bare == ord('"'))]
    n_of = {sign: int((bare == ord(sign)).sum()) for sign in "{[:,"}
    tables = n_of["{"] + n_of["["]
    for what, n, most in (
        ("tables and lists", tables, _limits.JSON_TABLES),
        ("keys", n_of[":"], _limits.JSON_KEYS),
        ("values", tables + n_of[","], _limits.JSON_VALUES),
    ):
        if n > most:
            message = f"holds {n} {what}, and {most} are the most"
            raise ValueError(message)


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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    twice = sorted(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    more = f" and {len(twice) - _MOST_SHOWN} more" if len(twice) > _MOST_SHOWN else ""
    message = f"gives the keys {[for_message(name, 40) for name in twice[:_MOST_SHOWN]]}{more} twice"
    raise ValueError(message)


def _whole(digits: str) -> int:
    if len(digits) > _limits.JSON_DIGITS:
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
