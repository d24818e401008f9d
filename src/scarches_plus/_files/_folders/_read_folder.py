"""Read a folder consistently while another process may replace it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from scarches_plus._arguments import at_home
from scarches_plus._files._locks import lock, unlock

from ._swap import current

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
#: How often a folder is read again that is replaced while it is read.
_ATTEMPTS = 5
#: Where an open folder has a path that stays the same.
_HANDLES = Path("/proc/self/fd")


def read_folder(path: str | Path, read: Callable[[Path], Result], *, hold: bool = True) -> Result:
    """Return what is read from a folder, all of it from the same version of the folder.

    It is read again if another folder took its place meanwhile.

    Parameters
    ----------
    path
        Folder that :func:`write_folder` wrote.
    read
        Takes the folder and returns what is in it; it may be called several times.
    hold
        If the folder is replaced again and again, keep it open under another path (Linux only). Else the last result
        counts: for readers that see themselves whether files belong together.
    """
    folder = at_home(path).absolute()
    for _ in range(1 if hold and _HANDLES.is_dir() else _ATTEMPTS):
        before = _identity(folder)
        try:
            result = read(current(folder))
        except Exception:
            if _identity(folder) == before:
                raise
        else:
            if _identity(folder) == before:
                return result
    if not hold:
        return read(current(folder))
    for _ in range(_ATTEMPTS):
        try:
            return _read_held(folder, read)
        except FileNotFoundError as error:  # removed before it was held
            missing = error
    raise missing


def _read_held(folder: Path, read: Callable[[Path], Result]) -> Result:
    now = current(folder)
    handle = None
    try:
        handle = lock(now.resolve(), shared=True)
        held = _HANDLES / str(handle)
        return read(held if handle is not None and held.exists() else now)
    finally:
        unlock(handle)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another that takes its place; numbers of files are given again, times are not."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns
