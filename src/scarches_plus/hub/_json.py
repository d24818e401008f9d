"""JSON as strict as its standard: no key twice, no number that is none."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import numpy as np

from scarches_plus import _limits


def parse_json(text: bytes) -> Any:
    """Return what JSON says.

    Raises
    ------
    ValueError
        If it is not valid JSON, or gives a key twice, or nests too deep, or holds more than any file of this package.
    """
    _require_moderate(text)
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError as error:
        message = "nests too deep"
        raise ValueError(message) from error
    except ValueError as error:
        if "digits" not in str(error):
            raise
        message = "holds a number of thousands of digits"
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
    names = [name for name, _ in pairs]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()
    if twice:
        message = f"gives the keys {sorted(twice)} twice"
        raise ValueError(message)
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    message = f"holds {name}, which is not JSON"
    raise ValueError(message)
