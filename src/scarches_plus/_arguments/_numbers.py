"""Check numbers, flags, seeds and arrays of numbers."""

from __future__ import annotations

import math
import operator
import sys
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ._messages import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray


def whole(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number; whole floats are taken."""
    message = f"{name} must be a whole number, not {shown(value)}"
    if not _is_number(value):
        raise TypeError(message)
    if not isinstance(value, Integral) and not float(value).is_integer():
        raise ValueError(message)
    _require_between(name, value, least=least, most=most)
    return int(value)


def number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """Return a finite number."""
    message = f"{name} must be a number, not {shown(value)}"
    if not _is_number(value):
        raise TypeError(message)
    if not (isinstance(value, Integral) or math.isfinite(value)) or abs(int(value)) > sys.float_info.max:
        raise ValueError(message)
    _require_between(name, value, least=least, above=above, most=most, below=below)
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return True or False; a number or text is neither."""
    if type(value).__name__ == "bool":  # Python's and numpy's
        return bool(value)
    message = f"{name} must be True or False, not {shown(value)}"
    raise TypeError(message)


def flags(**values: Any) -> None:
    """Require that each is True or False."""
    for name, value in values.items():
        flag(name, value)


def seed(name: str, value: Any, *, generator: bool = True) -> None:
    """Require a seed: a whole number from 0, or (``generator``) a numpy Generator or ``None``."""
    if generator and (value is None or isinstance(value, np.random.Generator)):
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        or_generator = ", a numpy Generator (np.random.default_rng(0)) or None" if generator else ""
        message = f"{name} must be a whole number (at least 0){or_generator}, not {shown(value)}"
        raise TypeError(message)
    whole(name, value, least=0, most=None if generator else 2**32 - 1)  # as scikit-learn takes it


def array(name: str, value: Any) -> NDArray[np.float64]:
    """Return numbers as an array of at least one dimension."""
    message = f"{name} must be an array of numbers, not {shown(value)}"
    try:
        found = np.asarray(None if np.iscomplexobj(value) else value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(message) from None
    if not found.ndim:
        raise TypeError(message)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _require_between(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> None:
    limits = {
        "at least": (least, operator.ge),
        "above": (above, operator.gt),
        "at most": (most, operator.le),
        "below": (below, operator.lt),
    }
    set_limits = {words: (limit, holds) for words, (limit, holds) in limits.items() if limit is not None}
    if not all(holds(value, limit) for limit, holds in set_limits.values()):
        required = " and ".join(f"{words} {limit:,}" for words, (limit, _) in set_limits.items())
        message = f"{name} must be {required}, not {shown(value)}"
        raise ValueError(message)
