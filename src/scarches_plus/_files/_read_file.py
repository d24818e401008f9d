"""Read regular files of limited size without following links or waiting for pipes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedReader


def open_regular(path: str | Path) -> BufferedReader:
    """Open a regular file to read; nothing else is waited for or followed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it is a link, a folder, a pipe or a device, or cannot be read.
    """
    path = Path(path)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError as error:
        message = f"{path} is missing"
        raise FileNotFoundError(message) from error
    except OSError as error:
        what = "is a link, and not the file itself" if path.is_symlink() else f"cannot be read: {error.strerror}"
        message = f"{path} {what}"
        raise OSError(message) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        message = f"{path} is no regular file"
        raise OSError(message)
    return os.fdopen(handle, "rb")


def read_file(path: str | Path, *, at_most: int) -> bytes:
    """Return the contents of a regular file of a limited size.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it is a link, a folder, a pipe or a device, or cannot be read, or is larger than ``at_most`` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        contents = file.read(min(size, at_most) + 1)
    if max(size, len(contents)) > at_most:
        message = f"{path} has {size} bytes, and should have {at_most} at most"
        raise OSError(message)
    return contents
