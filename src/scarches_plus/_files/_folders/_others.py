"""Keep a user's other files when the folder around them is replaced."""

from __future__ import annotations

import os
import shutil
import warnings
from typing import TYPE_CHECKING

from scarches_plus._files._flush import flush

from ._private_folder import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def bring_others(old: Path, new: Path, goes: Callable[[str], bool]) -> None:
    """Hard-link a user's other files into the new folder.

    Where there are no hard links, the files are copied.
    """
    for one in old.iterdir():
        if not goes(one.name):
            _bring(one, new / one.name)
    flush(new)


def bring_late(old: Path, new: Path, goes: Callable[[str], bool]) -> None:
    """Move what appeared or was replaced in the old folder while the new one took its place.

    The old folder is kept, with a warning that says where, if not all of it could be moved.
    """
    all_moved = False
    try:
        all_moved = _move_late(old, new, goes)
    except OSError:
        pass
    finally:
        if not all_moved:
            kept = old.rename(old.with_name(KEPT))
            message = (
                f"{new} is written, but files that came into the old folder meanwhile could not be moved into it; "
                f"the old folder is kept as {kept}"
            )
            warnings.warn(message, UserWarning, stacklevel=2)


def _move_late(old: Path, new: Path, goes: Callable[[str], bool]) -> bool:
    """Return whether all of it could be moved."""
    all_moved = True
    for one in old.iterdir():
        if goes(one.name):
            continue
        there = new / one.name
        try:
            if not os.path.lexists(there):
                one.rename(there)
            elif _is_folder(one) and _is_folder(there):
                all_moved &= _move_late(one, there, lambda _: False)
            elif _changed(one, there):
                one.replace(there)
        except OSError:
            all_moved = False
    flush(new)
    return all_moved


def _bring(source: Path, target: Path) -> None:
    if _is_folder(source):
        target.mkdir()
        for one in source.iterdir():
            _bring(one, target / one.name)
        shutil.copystat(source, target)
        flush(target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:  # removed meanwhile
        return
    except (OSError, NotImplementedError):
        if source.is_file() or source.is_symlink():
            shutil.copy2(source, target, follow_symlinks=False)
            if not target.is_symlink():
                flush(target)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _changed(old: Path, new: Path) -> bool:
    one, other = old.lstat(), new.lstat()
    return not os.path.samestat(one, other) and (one.st_mtime_ns, one.st_size) != (other.st_mtime_ns, other.st_size)
