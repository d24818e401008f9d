"""Replace files and folders atomically, and check outputs before the work begins. Nothing else in the package replaces a file."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def write_file(path: str | Path, write: Callable[[Path], object] | bytes) -> None:
    """Let ``write`` make a file in a private folder beside its place, then put it in place in one step.

    Raises
    ------
    OSError
        If it cannot be put in place; what was written is then kept beside it, and the message says where.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.with_name(f".{target.name}-{secrets.token_hex(8)}")
    folder.mkdir(mode=0o700)
    try:
        temporary = folder / target.name
        if isinstance(write, bytes):
            temporary.write_bytes(write)
        else:
            write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_output_file(path: str | Path, *, suffixes: tuple[str, ...] = (), n_bytes: int = 0) -> Path:
    """Return the path of a file to write, if it can be written: checked before any work.

    Raises
    ------
    OSError
        If it is a folder, lies below a file, cannot be written, or the disk has less than ``n_bytes`` free.
    ValueError
        If its name does not end in one of ``suffixes``.
    """
    raise NotImplementedError


def check_output_folder(path: str | Path, *, overwrite: bool = False, n_bytes: int = 0) -> Path:
    """Return the path of a folder to write, if it can be written: checked before any work.

    Raises
    ------
    FileExistsError
        If it is there and ``overwrite`` is not set.
    OSError
        If it is a file, lies below one, cannot be written, or the disk has less than ``n_bytes`` free.
    """
    raise NotImplementedError
