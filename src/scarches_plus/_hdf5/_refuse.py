"""Refuse an HDF5 file with an error that names the file and the place in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from scarches_plus._text import for_line

if TYPE_CHECKING:
    from pathlib import Path


def refuse(path: Path, place: str, why: str) -> NoReturn:
    """Raise a ValueError that names the file and the place in it.

    Raises
    ------
    ValueError
        Always.
    """
    shown = for_line(place.encode("utf-8", "replace").decode())
    message = f"{path} is refused: {shown}: {why}"
    raise ValueError(message)
