"""Lock folders with locks that end with the process that holds them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def lock(folder: Path, *, shared: bool = False) -> int | None:
    """Return an open descriptor of a folder that holds a lock on it; ``None`` where folders cannot be locked.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    FileNotFoundError
        If the folder is gone, or another has taken its place meanwhile.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(handle), os.lstat(folder))
    except BlockingIOError:
        os.close(handle)
        raise
    except FileNotFoundError:
        same = False
    except OSError:  # network file systems do not lock folders
        os.close(handle)
        return None
    if not same:
        os.close(handle)
        message = f"{folder} was removed"
        raise FileNotFoundError(message)
    return handle


def unlock(handle: int | None) -> None:
    """Release a lock."""
    if handle is not None:
        os.close(handle)


def is_locked(folder: Path) -> bool | None:
    """Return whether a process holds a lock on a folder; ``None`` if that cannot be told."""
    try:
        handle = lock(folder)
    except BlockingIOError:
        return True
    except OSError:
        return None
    unlock(handle)
    return None if handle is None else False
