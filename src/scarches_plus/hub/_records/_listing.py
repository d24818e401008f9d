"""Validate the list of files that a service returns for a record or repository."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from scarches_plus._json import first_problem, parse_json
from scarches_plus._limits import ANSWER_BYTES
from scarches_plus._text import for_message
from scarches_plus.bundle import BundleError
from scarches_plus.hub._web._get import fetch_small

from ._pins import PinnedFile
from ._place import is_plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._place import Place

M = TypeVar("M", bound=BaseModel)
Text = Annotated[str, Field(max_length=1000)]


@dataclass(frozen=True)
class Listing:
    """The files of a record or repository.

    Parameters
    ----------
    place
        The version that was asked for, or that was given for it.
    files
        Path to size and checksum.
    left_out
        Number of files that cannot be fetched: by a name that no file here may have, or without size or checksum.
    """

    place: Place
    files: dict[str, PinnedFile] = field(default_factory=dict)
    left_out: int = 0


def answer_of(url: str, place: Place, kind: type[M]) -> M:
    """Return what a service answers about a place.

    Raises
    ------
    OSError
        If it does not answer, or refuses; ``PermissionError`` if the place is not public, ``FileNotFoundError`` if
        there is none.
    BundleError
        If it answers something else.
    """
    try:
        text = fetch_small(url, at_most=ANSWER_BYTES)
    except PermissionError as error:
        message = f"{place} {error}"
        raise PermissionError(message) from None
    except FileNotFoundError as error:
        message = f"{place} is not there: {error}"
        raise FileNotFoundError(message) from None
    except OSError as error:
        message = f"{place} cannot be looked up: {error}"
        raise OSError(message) from error
    try:
        return kind.model_validate(parse_json(text))
    except ValidationError as error:
        problem = first_problem(error)
    except ValueError as error:
        problem = str(error)
    message = f"{place}: the answer is no list of files: {for_message(problem)}"
    raise BundleError(message)


def listing_of(place: Place, files: Iterable[tuple[str, int | None, str | None]]) -> Listing:
    """Return the files of a place, given as name, size and checksum.

    Raises
    ------
    BundleError
        If a name is given twice.
    """
    known: dict[str, PinnedFile] = {}
    left_out = 0
    for name, size, checksum in files:
        if name in known:
            message = f"{place}: the answer gives the file {for_message(name, 100)!r} twice"
            raise BundleError(message)
        if size is None or checksum is None or not is_plain(name):
            left_out += 1
        else:
            known[name] = PinnedFile(size=size, checksum=checksum)
    return Listing(place, known, left_out)


def as_list(files: Any) -> Any:
    """Return files that are given by their names as a list."""
    return list(files.values()) if isinstance(files, dict) else files
