"""Write a folder atomically: whole or not at all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from scarches_plus._files._check import as_target, require_replaceable
from scarches_plus._files._flush import flush, flush_all
from scarches_plus._files._locks import is_locked

from ._others import bring_late, bring_others
from ._private_folder import ASIDE, private_folder
from ._rescue import TROUBLE, rescue
from ._swap import place, restore

#: Seconds to wait for those who still read what was replaced; after that, the next writer removes it.
_PATIENCE = 1.0

Fill = Callable[[Path], object] | Mapping[str, bytes]


def write_folder(
    folder: str | Path,
    fill: Fill,
    *,
    overwrite: bool = False,
    foreign: Callable[[Path], str | None] | None = None,
    replaced: Callable[[str], bool] | None = None,
) -> None:
    """Write a folder atomically: let ``fill`` make its files in a private folder, then put that in place.

    Whatever happens meanwhile, :func:`read_folder` finds either the old folder or the new one, whole. What earlier
    writes to the same folder left when they were killed is removed.

    Parameters
    ----------
    folder
        Where to write; folders above it are made.
    fill
        Makes files in the empty folder it is given (it may be called again with another), or their names and contents.
    overwrite
        Replace a folder that is there.
    foreign
        Says why a folder may not be replaced, if it may not.
    replaced
        Says of the name of a file in the old folder whether it goes. The others, folders included, stay, even if they
        appear while this runs. Default: all of them go.

    Raises
    ------
    FileExistsError
        If the folder exists and ``overwrite`` is not set, or may not be replaced, or is a link or a file.
    OSError
        If it cannot be put in place; the message says where it is kept.
    """
    target = as_target(folder)
    require_replaceable(target, overwrite=overwrite, foreign=foreign)
    try:
        _write(target, fill, replaced, lambda: require_replaceable(target, overwrite=overwrite, foreign=foreign))
    except TROUBLE as error:
        rescue(target, error, lambda other: _write(other, fill, None, lambda: None))


def _write(target: Path, fill: Fill, replaced: Callable[[str], bool] | None, require_still: Callable[[], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with private_folder(target) as private:
        restore(target, private)
        new = private / target.name
        new.mkdir()
        if isinstance(fill, Mapping):
            for name, contents in fill.items():
                (new / name).write_bytes(contents)
        else:
            fill(new)
        flush_all(new)
        written = {one.name for one in new.iterdir()}
        goes = None if replaced is None else lambda name: name in written or replaced(name)
        require_still()
        if target.is_dir():
            if goes:
                bring_others(target, new, goes)
            shutil.copymode(target, new)
        place(new, target)
        if goes:
            for old in (private / name for name in (target.name, ASIDE)):
                if old.is_dir():
                    bring_late(old, target, goes)
        flush(target.parent)
        _wait_for_readers(private)


def _wait_for_readers(private: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and any(is_locked(old) for old in private.iterdir() if old.is_dir()):
        time.sleep(0.01)
