"""Check text arguments: options, column names and slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scarches_plus._text import for_terminal

from ._messages import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

#: Names that files keep for themselves.
_RESERVED = {"_index", "."}


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


def _writable(name: str) -> str:
    """Return a name that files can hold: without what they take for a path, and what is no Unicode."""
    if name in _RESERVED:
        return f"{name.strip('._')}_"
    return name.encode(errors="replace").decode().replace("/", "_").replace("\0", "_")
