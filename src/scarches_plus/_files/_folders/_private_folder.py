"""Make private temporary folders beside an output, for files before they are put in place."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scarches_plus._files._locks import is_locked, lock, unlock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds without a change after which nobody is writing any more, where locks do not tell.
_ABANDONED = 3600.0
_LONGEST_NAME = 200
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
#: Where the folder that was replaced is put aside.
ASIDE = "previous"
#: Where the folder of an earlier replacement that was interrupted is put aside.
FORMER = "former"
#: What is in a folder of this name is a user's, and never removed; no target is called so.
KEPT = f"kept-{secrets.token_hex(4)}"


@contextmanager
def private_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside a place, which nobody else can plant anything into, and remove it in the end.

    What earlier writers to the same place left when they were killed is removed: their locks died with them. Folders of
    other machines, whose locks cannot be seen, are removed an hour after their last change.
    """
    folder, handle = _make(target)
    try:
        _remove_leftovers(target, folder)
        yield folder
    finally:
        if not _is_read(folder) and not (folder / KEPT).exists():  # what is read, the next writer removes
            shutil.rmtree(folder, ignore_errors=True)
        unlock(handle)


def previous(folder: Path) -> Path:
    """Return where a folder is between two renames."""
    return folder.with_name(f".{folder.name}.previous")


def _make(target: Path) -> tuple[Path, int | None]:
    while True:
        folder = target.with_name(f".{_stem(target)}-{_HOST}{secrets.token_hex(4)}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        try:
            return folder, lock(folder)
        except (BlockingIOError, FileNotFoundError):  # another writer takes it for a leftover
            continue


def _stem(target: Path) -> str:
    """Return what names of temporary folders begin with; a file system limits their length."""
    name = os.fsencode(target.name)
    return target.name if len(name) <= _LONGEST_NAME else hashlib.sha256(name).hexdigest()


def _names_beside(target: Path) -> re.Pattern[str]:
    return re.compile(rf"\.{re.escape(_stem(target))}-[0-9a-f]{{16}}")


def _remove_leftovers(target: Path, own: Path) -> None:
    names = _names_beside(target)
    now = own.stat().st_mtime  # the clock of the file system
    try:
        others = [one for one in target.parent.iterdir() if names.fullmatch(one.name) and one != own]
    except OSError:  # a folder that may be written but not read
        return
    for other in others:
        if _is_ours(other, target) and _is_abandoned(other, now):
            shutil.rmtree(other, ignore_errors=True)


def _is_ours(folder: Path, target: Path) -> bool:
    """Return whether a folder belongs to this user and holds what writers make, and nothing else."""
    try:
        found = folder.lstat()
        entries = list(os.scandir(folder)) if stat.S_ISDIR(found.st_mode) else None
    except OSError:
        return False
    if entries is None or found.st_uid != getattr(os, "geteuid", lambda: found.st_uid)():
        return False
    known, nested = {target.name, previous(target).name, ASIDE, FORMER}, _names_beside(target)
    return all(one.is_file(follow_symlinks=False) or one.name in known or nested.fullmatch(one.name) for one in entries)


def _is_abandoned(folder: Path, now: float) -> bool:
    if folder.name[-16:-8] == _HOST and (held := is_locked(folder)) is not None:
        return not held and not _is_read(folder)
    return _last_change(folder) < now - _ABANDONED


def _is_read(folder: Path) -> bool:
    """Return whether somebody still reads a folder that was replaced."""
    return any(is_locked(one) for one in folder.glob("*") if one.is_dir() and not one.is_symlink())


def _last_change(folder: Path) -> float:
    try:
        return max(one.lstat().st_mtime for one in (folder, *folder.rglob("*")))
    except OSError:
        return float("inf")
