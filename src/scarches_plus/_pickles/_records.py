"""Record the objects that a pickle describes, without ever creating them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scarches_plus._text import for_line

#: Letters of a name that are shown.
_SHOWN = 100


#: What is said where a file may be whole, and only holds more than can be read safely.
TRUST = (
    "if you trust whoever made it, sp.model.load(path, trust_pickle=True) lets scvi-tools open it, which runs what the "
    "file says"
)

#: What is said where a file cannot be whole.
FETCH = "it is damaged or was made by hand; fetch it again, from where you trust it"


class UnsafeFileError(ValueError):
    """A file is damaged, or describes more than a model needs."""


@dataclass(eq=False, slots=True, frozen=True)
class Name:
    """A class or function that a file names; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        """Return the name with its module."""
        return for_line(f"{self.module[:_SHOWN]}.{self.name[:_SHOWN]}")


@dataclass(eq=False, slots=True)
class Record:
    """A call that a file asks for, with what is to be put into its result; it is never made.

    Attributes
    ----------
    function, arguments
        What would be called, and with what.
    state
        What the result would be set up with (``__setstate__``).
    items, pairs
        What would be appended to it, and set by key.
    """

    function: Any
    arguments: Any
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    def __repr__(self) -> str:
        """Return the name of what would be called; arguments may be circular."""
        return f"<a call of {self.function}>" if isinstance(self.function, Name) else "<a call>"


@dataclass(eq=False, slots=True)
class Pairs:
    """A dictionary: its keys are not hashed before they are known to be plain."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Items:
    """A set: its members are not hashed before they are known to be plain."""

    items: list[Any] = field(default_factory=list)


@dataclass(eq=False, slots=True, frozen=True)
class Tag:
    """A reference to something outside the pickle, such as the member of an archive that holds a tensor."""

    value: Any
