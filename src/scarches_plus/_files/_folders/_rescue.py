"""Save results in another place when they cannot be written where they should be."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What writers raise on trouble with a disk; torch's says RuntimeError.
TROUBLE = (OSError, RuntimeError)
_FULL = {errno.ENOSPC, errno.EDQUOT}


def rescue(target: Path, error: Exception, write: Callable[[Path], object]) -> NoReturn:
    """Write a result beside its place, else into the working folder, else into a temporary one, and raise where it is.

    Raises
    ------
    OSError
        Always, saying where the result is, or that it cannot be written anywhere.
    """
    number = getattr(error, "errno", None)
    why = os.strerror(number) if number else str(error)
    for place in _places(target, error):
        try:
            write(place)
        except TROUBLE:
            continue
        message = f"{target} cannot be written ({why}); the result is kept as {place}"
        raise OSError(message) from error
    message = f"{target} cannot be written ({why}), and neither can the working folder and the temporary one"
    raise OSError(message) from error


def _places(target: Path, error: Exception) -> Iterator[Path]:
    other = f"{target.stem}-{secrets.token_hex(4)}{target.suffix}"
    full = getattr(error, "errno", None) in _FULL
    disk = _disk(target.parent) if full else None
    if not full:
        yield target.with_name(other)
    here = Path.cwd()
    if not (full and _disk(here) == disk):
        yield here / (other if os.path.lexists(here / target.name) else target.name)
    if full and _disk(Path(tempfile.gettempdir())) == disk:
        return
    with suppress(OSError):
        private = Path(tempfile.mkdtemp(prefix="scarches_plus-"))
        yield private / target.name
        private.rmdir()  # only if that did not work either


def _disk(folder: Path) -> int | None:
    try:
        return folder.stat().st_dev
    except OSError:
        return None
