"""Parse options written as name=value."""

from __future__ import annotations

from ast import literal_eval
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Letters of a value; Python reads longer ones as nested without end.
_LONGEST = 200


def parse_options(words: Sequence[str], option: str) -> dict[str, Any]:
    """Return what words such as ``n_latent=20`` say.

    Raises
    ------
    ValueError
        If a word is not written so, or names an option again.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            message = f"{option} takes name=value, such as n_latent=20, not {word!r}"
            raise ValueError(message)
        if name in found:
            message = f"{option} names {name} twice"
            raise ValueError(message)
        found[name] = parse_value(text)
    return found


def parse_value(text: str) -> Any:
    """Return a number, ``True`` (or ``true``), ``None``, list or dict as Python writes it, else the text."""
    if len(text) > _LONGEST:
        message = f"{text[:20]}... is not a value of an option: it has {len(text)} letters"
        raise ValueError(message)
    try:
        return literal_eval(text.title() if text in {"true", "false"} else text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the latter two if it nests too deep
        return text
