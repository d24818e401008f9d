"""Pin the files of a record at first use: sizes and checksums in the cache.

This is trust on first use.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from scarches_plus._files import cache_subfolder, write_file
from scarches_plus._json import first_problem, parse_json
from scarches_plus._limits import ANSWER_BYTES, RECORD_FILES
from scarches_plus._text import for_message
from scarches_plus.bundle import BundleError, Count, Sha256, StrictModel, read_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ._place import Place

_FOLDER = "pins"
_MOST_SHOWN = 3


class PinnedFile(StrictModel):
    """Size and checksum of a file, as its service gives them, and its sha256 if it was fetched."""

    size: Count
    checksum: Annotated[str, Field(max_length=1000)]
    sha256: Sha256 | None = None

    @property
    def shown(self) -> str:
        """For a message."""
        return f"{self.size} bytes, {for_message(self.checksum, 80)}"


class Pins(StrictModel):
    """Record of a place at first use: another place that it stands for, or its files."""

    schema_version: Literal[1] = 1
    place: str
    stands_for: str = ""
    files: Annotated[dict[str, PinnedFile], Field(default_factory=dict, max_length=RECORD_FILES)]


class PinFile:
    """File in the cache that holds the pins of a place.

    Parameters
    ----------
    cache
        The cache folder.
    place
        A record or repository; what is meant within it does not matter.
    """

    def __init__(self, cache: Path, place: Place) -> None:
        self._cache, self._place = cache, place.whole
        self.path = cache / "hub" / _FOLDER / f"{place.key}.json"

    def read(self) -> Pins | None:
        """Return what is written down, if anything is.

        Raises
        ------
        BundleError
            If it is damaged, or of another place.
        """
        if not self.path.exists():
            return None
        text = read_file(self.path.parent, self.path.name, at_most=ANSWER_BYTES)
        try:
            pins = Pins.model_validate(parse_json(text))
        except ValidationError as error:
            problem = first_problem(error)
        except ValueError as error:
            problem = str(error)
        else:
            if pins.place == str(self._place):
                return pins
            problem = f"it is about {for_message(pins.place)}"
        message = (
            f"{self.path} is no list of what {self._place} held ({for_message(problem)}); delete it to trust the place "
            "anew"
        )
        raise BundleError(message)

    def write(self, *, stands_for: str = "", files: Mapping[str, PinnedFile] | None = None) -> None:
        """Write down what the place is."""
        pins = Pins(place=str(self._place), stands_for=stands_for, files=dict(files or {}))
        folder = cache_subfolder(self._cache, "hub", _FOLDER)
        text = json.dumps(pins.model_dump(exclude_defaults=False), indent=1)
        write_file(folder / self.path.name, f"{text}\n".encode(), keep=False)

    def require_same(self, before: Mapping[str, PinnedFile], now: Mapping[str, PinnedFile]) -> None:
        """Raise if a place holds other files than at first use.

        Raises
        ------
        BundleError
            If it does, saying what changed and how to accept it.
        """
        changes = [
            f"{for_message(name, 100)} is gone" if name not in now
            else f"{for_message(name, 100)} is new" if name not in before
            else f"{for_message(name, 100)} had {before[name].shown}, and has {now[name].shown}"
            for name in sorted({*before, *now})
            if name not in now or name not in before
            or (before[name].size, before[name].checksum) != (now[name].size, now[name].checksum)
        ]  # fmt: skip
        if changes:
            more = f" and {len(changes) - _MOST_SHOWN} more" if len(changes) > _MOST_SHOWN else ""
            self.refuse("; ".join(changes[:_MOST_SHOWN]) + more)

    def refuse(self, change: str) -> None:
        """Raise because a place is not what it was at first use.

        Raises
        ------
        BundleError
            Always.
        """
        message = (
            f"{self._place} is not what it was when it was first used: {change}. If this is right, delete {self.path} "
            "and fetch it again"
        )
        raise BundleError(message)
