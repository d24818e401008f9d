"""Check arguments of public functions in one way: each function returns the value, or raises with the argument's name.

Public functions call these by name at their head, before any work: ``from scarches_plus import _arguments as check``, then
``k = check.whole("k", k, least=1)``. All raise ``TypeError`` for a value of another kind, and ``ValueError`` for one out of
range. ``None`` is refused except where a function says so.
"""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from reprlib import Repr
from typing import TYPE_CHECKING, Any

from ._text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    import numpy as np
    from numpy.typing import NDArray

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 100
#: Packages whose objects are named in messages, not printed.
_LARGE = {"anndata", "mudata", "pandas", "scarches_plus", "scipy", "scvi", "torch"}
#: Names that files keep for themselves.
_RESERVED = {"_index", "."}


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
    if isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}:  # numpy's
        return bool(value)
    message = f"{name} must be True or False, not {shown(value)}"
    raise TypeError(message)


def flags(**values: Any) -> None:
    """Require that each is True or False."""
    for name, value in values.items():
        flag(name, value)


def choice(name: str, value: Any, options: Iterable[str | None]) -> Any:
    """Return one of the options; the message names the nearest."""
    known = tuple(options)
    if value is None and None in known:
        return value
    if not isinstance(value, str):
        message = f"{name} must be one of {known}, not {shown(value)}"
        raise TypeError(message)
    if value not in known:
        message = f"{name} must be one of {known}, not {shown(value)}{nearest(value, known)}"
        raise ValueError(message)
    return value


def text(name: str, value: Any) -> str:
    """Return a text that is not empty, such as the name of a column."""
    if not isinstance(value, str):
        message = f"{name} must be a name (text), not {shown(value)}"
        raise TypeError(message)
    if not value.strip():
        message = f"{name} must be a name, and {value!r} is empty"
        raise ValueError(message)
    return value


def texts(**values: Any) -> None:
    """Require that each is a text that is not empty."""
    for name, value in values.items():
        text(name, value)


def texts_or_none(**values: Any) -> None:
    """Require that each is ``None``, or a text that is not empty."""
    texts(**{name: value for name, value in values.items() if value is not None})


def names(name: str, value: Any, *, or_one: bool = False, least: int = 0, of: type = str) -> tuple[Any, ...]:
    """Return several names; a single text is refused, since its letters would be taken for names.

    Parameters
    ----------
    name, value
        The argument.
    or_one
        Take a single text as one name.
    least
        Smallest number of names.
    of
        What they are; ``object`` takes any values.
    """
    if or_one and isinstance(value, str):
        value = [value]
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        advice = f", such as {name}=[{value!r}]" if isinstance(value, str) else ""
        message = f"{name} must be a list{' of names' if of is str else ''}{advice}, not {shown(value)}"
        raise TypeError(message)
    found = tuple(value)
    if of is not object and (wrong := [one for one in found if not isinstance(one, of)]):
        message = f"{name} must be a list of names (texts), and {shown(wrong[0])} is none"
        raise TypeError(message)
    if len(found) < least:
        message = f"{name} {f'holds {len(found)}' if found else 'is empty'}; name at least {least}"
        raise ValueError(message)
    return found


def slot(name: str, value: Any, *, writes: str = "", advice: str = "pass {new!r}", taken: Container[str] = ()) -> str:
    """Return the name of a slot or column that a result is written to, and that files can hold.

    Parameters
    ----------
    name, value
        The argument.
    writes
        What is written under a name made from it, such as ``obs['{}_pred']``, if that is not the name itself.
    advice
        What to do, with ``{old}`` and ``{new}`` for the name and one that files can hold.
    taken
        Names that the new one must not be.
    """
    text(name, value)
    new = _writable(value)
    if new == value:
        return str(value)
    while new in taken:
        new += "_"
    written = f"what is written ({writes.format(value)})" if writes else "what is written"
    message = (
        f"{name}={shown(value)} names {written}, and files cannot hold such a name: {advice.format(old=value, new=new)}"
    )
    raise ValueError(for_terminal(message))


def distinct(**keys: str | Sequence[str] | None) -> None:
    """Refuse arguments that name the same column; an argument may be a list of columns."""
    seen: dict[str, str] = {}
    for name, given in keys.items():
        for key in [given] if isinstance(given, str) else given or ():
            if key in seen:
                both = f"{name} has {key!r} twice" if seen[key] == name else f"{seen[key]} and {name} are both {key!r}"
                message = f"{both}; name different columns"
                raise ValueError(message)
            seen[key] = name


def seed(name: str, value: Any, *, generator: bool = True) -> None:
    """Require a seed: a whole number from 0, or (``generator``) a numpy Generator or ``None``."""
    import numpy as np

    if generator and (value is None or isinstance(value, np.random.Generator)):
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        or_generator = ", a numpy Generator (np.random.default_rng(0)) or None" if generator else ""
        message = f"{name} must be a whole number (at least 0){or_generator}, not {shown(value)}"
        raise TypeError(message)
    whole(name, value, least=0, most=None if generator else 2**32 - 1)  # as scikit-learn takes it


def cells(name: str, value: Any, *, mudata: bool = False, or_none: bool = False) -> None:
    """Require an AnnData, or (``mudata``) a MuData, or (``or_none``) ``None``."""
    from anndata import AnnData

    if isinstance(value, AnnData) or (mudata and _is_mudata(value)) or (or_none and value is None):
        return
    if _is_mudata(value):
        message = f"{name} must be an AnnData, not MuData: pass a modality, such as mdata['rna']"
    elif isinstance(value, str | os.PathLike):
        message = f"{name} must be an AnnData, not a path: read it first, sc.read_h5ad({os.fspath(value)!r})"
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


def array(name: str, value: Any) -> NDArray[np.float64]:
    """Return numbers as an array of at least one dimension."""
    import numpy as np

    message = f"{name} must be an array of numbers, not {shown(value)}"
    try:
        found = np.asarray(None if np.iscomplexobj(value) else value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(message) from None
    if not found.ndim:
        raise TypeError(message)
    return found


def mapping(name: str, value: Any) -> Mapping[Any, Any]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        message = f"{name} must be a dict, not {shown(value)}"
        raise TypeError(message)
    return value


def table(name: str, value: Any, columns: Sequence[str], *, numbers: Sequence[str], made_by: str) -> None:
    """Require a DataFrame that has columns once, some of them of numbers, as the function that makes such tables returns it."""
    import pandas as pd

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


def shown(value: Any) -> str:
    """Return a value in a few words, for messages."""
    kind = type(value).__name__
    words = f"an {kind}" if kind[0] in "AEIOUaeio" else f"a {kind}"
    if isinstance(value, type) or type(value).__module__.partition(".")[0] not in _LARGE:
        printed = _SHORT.repr(value)
        words = words if "\n" in printed else printed
    return words


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_mudata(value: Any) -> bool:
    mudata = sys.modules.get("mudata")  # who passes one has imported it
    return mudata is not None and isinstance(value, mudata.MuData)


def nearest(value: str, known: Iterable[Any]) -> str:
    """Return the end of a message that names the nearest options, empty if none is near."""
    near = get_close_matches(value, [one for one in known if isinstance(one, str)], n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _writable(name: str) -> str:
    """Return a name that files can hold: without what they take for a path, and what is no Unicode."""
    if name in _RESERVED:
        return f"{name.strip('._')}_"
    return name.encode(errors="replace").decode().replace("/", "_").replace("\0", "_")


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
