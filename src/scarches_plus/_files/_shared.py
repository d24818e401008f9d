"""Write files safely into folders that others can write to, such as a cache of a whole lab."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from filelock import FileLock

from ._flush import flush

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
#: How often what others plant again is removed.
_ATTEMPTS = 3


def cache_subfolder(root: Path, *names: str) -> Path:
    """Return a folder below a cache, made if it is missing; none of the folders on the way may be a link.

    Raises
    ------
    OSError
        If one of them is a link or a file, or cannot be made.
    """
    root.mkdir(parents=True, exist_ok=True)
    folder = root
    for name in names:
        folder /= name
        with suppress(FileExistsError):
            folder.mkdir()
        if not stat.S_ISDIR(folder.lstat().st_mode):
            message = f"{folder} is no folder, as it should be in a cache, but a link or a file; remove it"
            raise NotADirectoryError(message)
    return folder


def open_part(target: Path) -> tuple[BinaryIO, Path]:
    """Open the part of a file that has arrived, to go on at its end; return it and its path.

    Only a file of one's own is written to. Links, other names of files, pipes and what belongs to others are removed
    first, and where that is not allowed, the part has another name.

    Raises
    ------
    OSError
        If something is there that is not removed, such as a folder.
    """
    other = target.with_name(f"{target.name}.{getattr(os, 'geteuid', os.getpid)()}.part")
    for path in (target.with_name(f"{target.name}.part"), other):
        for _ in range(_ATTEMPTS):
            with suppress(PermissionError, IsADirectoryError):
                if file := _open_own(path):
                    return file, path
    message = f"{path} is no file of yours; remove it"
    raise OSError(message)


def _open_own(path: Path) -> BinaryIO | None:
    """Open a file of one's own at its end; ``None`` if something else was there, which is removed."""
    flags = os.O_RDWR | _NO_LINK | _NO_WAIT | _BINARY
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        with suppress(FileExistsError):
            return os.fdopen(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), "r+b")
        return None
    except OSError:  # a link, a folder, not ours
        path.unlink()
        return None
    if not _is_own(handle):
        os.close(handle)
        path.unlink()
        return None
    file = os.fdopen(handle, "r+b")
    file.seek(0, os.SEEK_END)
    return file


def place_part(part: Path, target: Path) -> None:
    """Replace a file atomically by the part that has arrived, once it is on the disk."""
    flush(part)
    part.replace(target)


def append_line(path: Path, text: str) -> None:
    """Add a line to a file, which is made if it is missing.

    Raises
    ------
    OSError
        If it is a link, has other names, or is no regular file, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | _NO_WAIT
    with os.fdopen(os.open(path, flags, 0o666), "ab") as file:
        _require_plain(file.fileno(), path)
        file.write(f"{text}\n".encode())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds a lock file, and hold it; go on without where something else is there."""
    if fcntl is None:
        with FileLock(path):
            yield
        return
    handle = _open_lock(path)
    try:
        if handle is not None:
            with suppress(OSError):  # network file systems without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _open_lock(path: Path) -> int | None:
    """Open a lock file to read, which changes nothing, whatever it is; remove what is none."""
    for _ in range(_ATTEMPTS):
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_CREAT | _NO_LINK | _NO_WAIT, 0o666)
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return handle
            os.close(handle)
        with suppress(OSError):
            path.unlink()
    return None


def _is_own(handle: int) -> bool:
    found = os.fstat(handle)
    me = getattr(os, "geteuid", lambda: found.st_uid)()
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == me


def _require_plain(handle: int, path: Path) -> None:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        message = f"{path} is no plain file, or has other names"
        raise OSError(message)
