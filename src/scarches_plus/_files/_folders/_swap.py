"""Swap a new folder with the old one atomically, by renaming."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from ._private_folder import ASIDE, FORMER, previous

if TYPE_CHECKING:
    from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_SWAP = 2
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def place(new: Path, target: Path) -> None:
    """Put a folder in place; what was there is then where the new one was, or beside that.

    Where two folders cannot be exchanged in one step, three renames do it, and :func:`current` finds the old one
    between them.
    """
    try:
        if not os.path.lexists(target):
            new.rename(target)
            return
    except OSError as error:  # another writer was faster
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise
    if exchange(new, target):
        return
    before = previous(target)
    target.rename(before)
    try:
        new.rename(target)
    except BaseException:
        before.rename(target)
        raise
    _move(before, new.with_name(ASIDE))


def exchange(first: Path, second: Path) -> bool:
    """Exchange two folders atomically; return ``False`` where the system or the file system cannot."""
    function = _function()
    if function is None:
        return False
    ctypes.set_errno(0)
    if function(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(first), None, str(second))


@cache
def _function() -> Any:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            renamex_np = library.renamex_np
            return lambda first, second: renamex_np(first, second, ctypes.c_uint(_RENAME_SWAP))
        renameat2 = library.renameat2
    except (AttributeError, OSError, TypeError):  # Windows, old systems
        return None
    return lambda first, second: renameat2(_AT_FDCWD, first, _AT_FDCWD, second, ctypes.c_uint(_RENAME_EXCHANGE))


def current(folder: Path) -> Path:
    """Return the folder, or what it was before a replacement that was interrupted between two renames."""
    before = previous(folder)
    return before if not folder.exists() and _is_folder(before) else folder


def restore(folder: Path, private: Path) -> None:
    """Finish a replacement that was interrupted between two renames.

    What it left is put aside in the given folder.
    """
    _move(previous(folder), private / FORMER if os.path.lexists(folder) else folder)


def _move(source: Path, target: Path) -> None:
    if _is_folder(source):
        source.rename(target)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
