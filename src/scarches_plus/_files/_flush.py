"""Flush files and folders to disk with fsync, so that they survive a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk with fsync.

    Where a system cannot open folders, it does so by itself.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


def flush_all(folder: Path) -> None:
    """Flush a folder and all that is in it to disk."""
    for place, _, files in os.walk(folder):
        for name in files:
            flush(folder / place / name)
        flush(folder / place)
