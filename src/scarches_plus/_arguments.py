"""Check arguments of public functions in one way: each function returns the value, or raises with the argument's name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any


def whole(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number; whole floats are taken.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is not whole, or outside of ``least`` to ``most``.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        message = f"{name} must be a whole number{_range(least, most)}, not {value!r}"
        raise TypeError(message)
    if not isinstance(value, Integral) and not float(value).is_integer():
        message = f"{name} must be a whole number{_range(least, most)}, not {value!r}"
        raise ValueError(message)
    return int(number(name, int(value), least=least, most=most))


def number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """Return a finite number.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is not finite, or outside of its limits.
    """
    limits = _range(least, most, above, below)
    if isinstance(value, bool) or not isinstance(value, Real):
        message = f"{name} must be a number{limits}, not {value!r}"
        raise TypeError(message)
    outside = (
        not math.isfinite(value)
        or (least is not None and value < least)
        or (above is not None and value <= above)
        or (most is not None and value > most)
        or (below is not None and value >= below)
    )
    if outside:
        message = f"{name} must be a number{limits}, not {value!r}"
        raise ValueError(message)
    return float(value)


def choice(name: str, value: Any, options: Iterable[Any]) -> Any:
    """Return one of the options."""
    known = list(options)
    if value not in known:
        message = f"{name} must be one of {known}, not {value!r}"
        raise ValueError(message)
    return value


def names(name: str, value: Any) -> tuple[str, ...]:
    """Return several names; a single text is refused, since its letters would be taken for names."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        message = f"{name} must be a list of names, such as {name}=[{value!r}], not {value!r}"
        raise TypeError(message)
    found = tuple(value)
    wrong = [one for one in found if not isinstance(one, str)]
    if wrong:
        message = f"{name} must be a list of names, and {wrong[0]!r} is a {type(wrong[0]).__name__}"
        raise TypeError(message)
    return found


def slot(name: str, value: Any) -> str:
    """Return the name of a slot or column that a result is written to, and that a file can hold."""
    if not isinstance(value, str):
        message = f"{name} must be a name, not {value!r}"
        raise TypeError(message)
    if not value or "/" in value or "\0" in value or value != value.strip():
        message = f"{name}={value!r} is no name that an .h5ad file can hold; leave out '/' and blanks at its ends"
        raise ValueError(message)
    return value


def distinct(**keys: str | None) -> None:
    """Refuse arguments that name the same column."""
    seen: dict[str, str] = {}
    for name, key in keys.items():
        if key is None:
            continue
        if key in seen:
            message = f"{seen[key]} and {name} are both {key!r}; name two different columns"
            raise ValueError(message)
        seen[key] = name


def _range(
    least: float | None = None, most: float | None = None, above: float | None = None, below: float | None = None
) -> str:
    parts = [
        f"{word} {limit:g}"
        for word, limit in (("at least", least), ("above", above), ("at most", most), ("below", below))
        if limit is not None
    ]
    return f" ({', '.join(parts)})" if parts else ""
