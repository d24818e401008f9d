"""Format values and suggest the nearest option in error messages."""

from __future__ import annotations

from difflib import get_close_matches
from reprlib import Repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 100
#: Packages whose objects are named in messages, not printed.
_LARGE = {"anndata", "mudata", "pandas", "scarches_plus", "scipy", "scvi", "torch"}


def shown(value: Any) -> str:
    """Return a value in a few words, for messages."""
    kind = type(value).__name__
    words = f"an {kind}" if kind[0] in "AEIOUaeio" else f"a {kind}"
    if isinstance(value, type) or type(value).__module__.partition(".")[0] not in _LARGE:
        printed = _SHORT.repr(value)
        words = words if "\n" in printed else printed
    return words


def nearest(value: str, known: Iterable[Any]) -> str:
    """Return the end of a message that names the nearest options, empty if none is near."""
    by_letters = {one.casefold(): one for one in known if isinstance(one, str)}
    near = [by_letters[one] for one in get_close_matches(value.casefold(), by_letters, n=2, cutoff=0.6)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
