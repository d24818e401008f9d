"""Check before any work that output files and folders can be written."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scarches_plus._arguments import at_home

from ._folders._private_folder import private_folder
from ._folders._swap import current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What a file system needs besides the contents: names, blocks that are not full.
_SLACK = 1.02


def check_output_file(path: str | Path, *, suffixes: tuple[str, ...] = (), n_bytes: int = 0) -> Path:
    """Return the path of a file to write, if it can be written: checked before any work.

    Files are made beside their place for a moment, since permissions alone do not tell.

    Parameters
    ----------
    path
        File to write; ``~`` is the user's home. A file that is there will be replaced, a link too, but not what it
        points to.
    suffixes
        What its name may end in, such as ``(".h5ad",)``, whatever the case; empty: anything.
    n_bytes
        How large it is expected to be.

    Raises
    ------
    OSError
        If it is a folder or a device, is write-protected, lies below a file, cannot be written, or the disk has less
        than ``n_bytes`` free.
    ValueError
        If its name does not end in one of ``suffixes``.
    """
    target = as_target(path)
    if suffixes and not target.name.lower().endswith(suffixes):
        message = f"the name of {target} should end in {' or '.join(suffixes)}, which is what is written"
        raise ValueError(message)
    found = _look(target)
    if target.is_dir():
        message = f"{target} is a folder; give the name of a file in it"
        raise IsADirectoryError(message)
    if found and target.exists() and not target.is_file():
        message = f"{target} is not a regular file; choose another name"
        raise FileExistsError(message)
    if found and stat.S_ISREG(found.st_mode):
        _require_unprotected(target, found)
    _require_writable(target, n_bytes)
    return target


def check_output_folder(
    path: str | Path, *, overwrite: bool = False, n_bytes: int = 0, foreign: Callable[[Path], str | None] | None = None
) -> Path:
    """Return the path of a folder to write, if it can be written: checked before any work.

    Parameters
    ----------
    path
        Folder to write; ``~`` is the user's home.
    overwrite
        Replace a folder that is there.
    n_bytes
        How large it is expected to be.
    foreign
        Says why a folder may not be replaced, if it may not.

    Raises
    ------
    FileExistsError
        If it is there and ``overwrite`` is not set, or may not be replaced, or is a file or a link.
    OSError
        If it lies below a file, cannot be written, or the disk has less than ``n_bytes`` free.
    """
    target = as_target(path)
    require_replaceable(target, overwrite=overwrite, foreign=foreign)
    _require_writable(target, n_bytes)
    return target


def check_apart(
    outputs: Mapping[str, str | Path | None], inputs: Mapping[str, str | Path | None] | None = None
) -> None:
    """Require that outputs are no inputs, hold none, and differ from each other.

    Parameters
    ----------
    outputs, inputs
        What messages call them to their paths; ``None`` for what is not asked for.

    Raises
    ------
    ValueError
        If two of them are the same file or folder, or an input lies in a folder to write.
    """
    written = {name: as_target(path) for name, path in outputs.items() if path is not None}
    read = {name: as_target(path) for name, path in (inputs or {}).items() if path is not None}
    for name, path in written.items():
        for other, source in read.items():
            if _same(path, source):
                message = f"{name} is {other} itself ({source}); choose another name, so that it is not lost"
                raise ValueError(message)
            if path.is_dir() and path.resolve() in source.resolve().parents:
                message = f"{other} ({source}) lies in {name} ({path}), which is replaced; choose another folder"
                raise ValueError(message)
    names = list(written)
    for i, name in enumerate(names):
        for other in names[:i]:
            if _same(written[name], written[other]):
                message = f"{other} and {name} are the same ({written[name]}); choose two names"
                raise ValueError(message)


def check_space(path: Path, n_bytes: int) -> None:
    """Require that the disk of a file or folder to write has room for it.

    Raises
    ------
    OSError
        If it has less than ``n_bytes`` free.
    """
    there = next(one for one in path.absolute().parents if one.is_dir())
    free = shutil.disk_usage(there).free
    if n_bytes * _SLACK > free:
        message = (
            f"{path} needs {_size(n_bytes)}, and its disk has {_size(free)} free; make room or choose another disk"
        )
        raise _told(OSError, errno.ENOSPC, message)


def require_replaceable(target: Path, *, overwrite: bool, foreign: Callable[[Path], str | None] | None = None) -> None:
    """Raise if a folder may not be replaced."""
    found = _look(target)
    if found and stat.S_ISLNK(found.st_mode):
        message = f"{target} is not a folder but a link; pass what it points to, {target.readlink()}, or remove it"
        raise FileExistsError(message)
    if found and not stat.S_ISDIR(found.st_mode):
        message = f"{target} is not a folder; choose another name"
        raise FileExistsError(message)
    if not target.name:
        message = "the root folder cannot be replaced; choose a folder in it"
        raise FileExistsError(message)
    now = current(target)
    if not now.exists():
        return
    if not overwrite:
        message = f"{target} exists; choose another folder or pass overwrite=True"
        raise FileExistsError(message)
    if foreign and any(now.iterdir()) and (why := foreign(now)):
        message = f"{target} is left alone: {why}; choose another folder"
        raise FileExistsError(message)
    if not found:
        return
    real = target.resolve()
    if os.path.ismount(target) or real in (Path.cwd(), *Path.cwd().parents):
        what = "a disk of its own" if os.path.ismount(target) else "the folder you work in, or one above it"
        message = f"{target} is {what} and cannot be replaced; choose a folder in it"
        raise FileExistsError(message)
    _require_unprotected(target, found)


def as_target(path: str | Path) -> Path:
    """Return a path that has a name, with the user's home for ``~``."""
    target = at_home(path)
    return target if target.name not in {"", ".."} else target.resolve()


def _look(target: Path) -> os.stat_result | None:
    """Return what is there, without following links."""
    try:
        return target.lstat()
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise _below_a_file(target) from error
    except OSError as error:
        raise _cannot(target, error) from error


def _require_unprotected(target: Path, found: os.stat_result) -> None:
    parent = target.absolute().parent.stat()
    me = getattr(os, "geteuid", lambda: 0)()
    if me and parent.st_mode & stat.S_ISVTX and me not in {found.st_uid, parent.st_uid}:
        message = f"{target} belongs to somebody else; choose another name"
        raise PermissionError(message)
    if not found.st_mode & 0o222 or not os.access(target, os.W_OK):
        message = f"{target} is write-protected; choose another name, or allow it: chmod u+w {target}"
        raise PermissionError(message)


def _require_writable(target: Path, n_bytes: int) -> None:
    """Make a file beside the place, and the folders above it, and remove them again."""
    parent = target.absolute().parent
    missing = [one for one in (parent, *parent.parents) if not os.path.lexists(one)]
    made = []
    try:
        for folder in reversed(missing):
            folder.mkdir()
            made.append(folder)
        check_space(target, n_bytes)
        with private_folder(target):  # of which the next run knows that it may be removed
            pass
    except NotADirectoryError as error:
        raise _below_a_file(target) from error
    except OSError as error:
        if any(one.is_symlink() and not one.exists() for one in (parent, *parent.parents)):
            raise _below_a_file(target) from error
        if str(target) in str(error):
            raise
        raise _cannot(target, error) from error
    finally:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


def _size(n_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"


def _below_a_file(target: Path) -> NotADirectoryError:
    above = next((one for one in target.absolute().parents if os.path.lexists(one)), target)
    return NotADirectoryError(f"{target} cannot be written: {above} is not a folder; choose another place")


def _cannot(target: Path, error: OSError) -> OSError:
    why = error.strerror or str(error)
    return _told(type(error), error.errno, f"{target} cannot be written: {why}; choose another place")


def _told(cls: type[OSError], number: int | None, message: str) -> OSError:
    """Return an error with a number and a message that does not begin with it."""
    error = cls(message)
    error.errno = number
    return error


def _same(first: Path, second: Path) -> bool:
    with suppress(OSError):
        return first.samefile(second)
    return first.resolve() == second.resolve()
