"""Write a file atomically: whole or not at all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from ._check import as_target
from ._flush import flush
from ._folders._private_folder import private_folder
from ._folders._rescue import TROUBLE, rescue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_file(path: str | Path, write: Callable[[Path], object] | bytes, *, keep: bool = True) -> None:
    """Write a file atomically: let ``write`` make it in a private folder, then put it in place in one step.

    A link that is there is replaced, and the file it points to left alone.

    Parameters
    ----------
    path
        File to write; folders above it are made.
    write
        Makes the file whose path it is given (it may be called again with another), or the contents.
    keep
        If it cannot be put in place, write it elsewhere: beside its place, else into the working folder, else into a
        temporary one.

    Raises
    ------
    OSError
        If it cannot be put in place; the message says where it is kept.
    """
    target = as_target(path)
    try:
        _write(target, write)
    except TROUBLE as error:
        if not keep:
            raise
        rescue(target, error, lambda place: _write(place, write))


def _write(target: Path, write: Callable[[Path], object] | bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with private_folder(target) as folder:
        temporary = folder / target.name
        if isinstance(write, bytes):
            temporary.write_bytes(write)
        else:
            write(temporary)
        if target.is_file() and not target.is_symlink():
            shutil.copymode(target, temporary)
        flush(temporary)
        os.replace(temporary, target)  # noqa: PTH105 (what tests of kills hook)
        flush(target.parent)
