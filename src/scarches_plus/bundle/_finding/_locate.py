"""Locate the model at a path: in a folder, an archive, or a folder further down."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from scarches_plus._files import read_folder
from scarches_plus._limits import FOLDER_DEPTH, FOLDER_FILES
from scarches_plus._pickles import FORMER_FILES
from scarches_plus.bundle._manifest import MANIFEST, BundleError

from ._archives import is_archive, is_of_torch, place_in_archive, unpacked
from ._find import BUNDLE, FORMER, MODEL_FILE, SCVI_TOOLS, Place, only_one, places_in
from ._foreign import what_else

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Result = TypeVar("Result")
_HERE = PurePosixPath()
_ZARR = (".zgroup", "zarr.json")
_NAMES = (MODEL_FILE, MANIFEST, *FORMER_FILES)


@contextmanager
def located(path: Path, prefix: str | None, *, with_cells: bool = False) -> Iterator[tuple[Path, Place]]:
    """Yield the folder of a model and its place in there; what is packed lies in a folder of its own meanwhile.

    Parameters
    ----------
    path
        Folder, file of a model, or archive.
    prefix
        What the names of its files begin with.
    with_cells
        Unpack cells beside it as well.

    Raises
    ------
    FileNotFoundError
        If there is no model; the message says what is there instead.
    ValueError
        If there are several, or the file has another prefix, or an archive is refused.
    """
    if path.is_file() and not path.name.endswith(_NAMES) and is_archive(path):
        with unpacked(path, prefix, with_cells=with_cells) as (folder, place):
            try:
                yield folder, place
            except (ValueError, TypeError, OSError) as error:
                if str(folder) not in str(error) or len(error.args) != 1:
                    raise
                raise type(error)(str(error).replace(str(folder), str(path))) from error
    else:
        yield _on_disk(path, prefix)


def layout_at(path: Path) -> str | None:
    """Return the layout of the model at a path, ``None`` if there is none, such as at cells; nothing is unpacked."""
    if path.is_dir():
        cells = any((path / name).exists() for name in _ZARR)
        place = None if cells else only_one(_places_below(path), None, str(path))
    elif not path.is_file():
        place = None
    elif path.name.endswith(_NAMES) or is_of_torch(path):
        place = _of_file(path, None)[1]
    else:
        place = place_in_archive(path) if is_archive(path) else None
    return None if place is None else place.layout


def read_bundle(path: Path, read: Callable[[Path], Result]) -> Result:
    """Return what is read of the folder of a bundle, packed or not.

    Raises
    ------
    BundleError
        If an archive holds something else.
    """
    if not (path.is_file() and is_archive(path)):
        return read_folder(_folder_of_bundle(path), read, hold=False)
    with located(path, None) as (folder, place):
        if place.layout != BUNDLE:
            message = f"{path} holds a saved model, and is no bundle: sp.load opens it"
            raise BundleError(message)
        return read(folder)


def _folder_of_bundle(path: Path) -> Path:
    """Return the folder of a bundle that is named by itself, its manifest, or a folder above it."""
    if path.name == MANIFEST and path.is_file():
        return path.parent
    if path.is_dir() and not any((path / name).exists() for name in (MANIFEST, MODEL_FILE)):
        place = only_one(_places_below(path), None, str(path))
        return path / place.folder if place is not None and place.layout == BUNDLE else path
    return path


def _on_disk(path: Path, prefix: str | None) -> tuple[Path, Place]:
    if path.is_file():
        return _of_file(path, prefix)
    if not path.exists():
        named = path.with_name(f"{path.name}{MODEL_FILE}")  # a path may end in what names of files begin with
        if prefix is None and named.is_file():
            return _of_file(named, prefix)
        message = f"{path} is no folder: there is no saved model of that name"
        raise FileNotFoundError(message)
    if not path.is_dir():
        raise FileNotFoundError(what_else(path, prefix))
    place = only_one(_places_below(path), prefix, str(path))
    if place is None:
        raise FileNotFoundError(what_else(path, prefix))
    return path / place.folder, Place(place.layout, _HERE, place.prefix)


def _of_file(path: Path, prefix: str | None) -> tuple[Path, Place]:
    for layout, names in ((SCVI_TOOLS, (MODEL_FILE,)), (FORMER, FORMER_FILES), (BUNDLE, (MANIFEST,))):
        ending = next((name for name in names if path.name.endswith(name)), None)
        if ending is None or (layout == BUNDLE and path.name != ending):
            continue
        found = path.name.removesuffix(ending)
        if prefix is not None and prefix != found:
            message = f"{path} has the prefix {found!r} and not {prefix!r}; leave prefix out, or give the folder"
            raise ValueError(message)
        if layout == FORMER and not all((path.parent / f"{found}{name}").is_file() for name in FORMER_FILES):
            raise FileNotFoundError(what_else(path.parent, found))
        return path.parent, Place(layout, _HERE, found)
    if prefix is not None:
        message = f"{path} is one file, and prefix={prefix!r} chooses among files of a folder: leave it out"
        raise ValueError(message)
    return path.parent, Place(SCVI_TOOLS, _HERE, file=path.name)  # whose reader says what it is instead


def _places_below(folder: Path) -> list[Place]:
    """Return the models that lie least deep in a folder; links to folders are not followed further down."""
    level, n_files = [_HERE], 0
    for _ in range(FOLDER_DEPTH):
        found, deeper = [], []
        for place in level:
            with os.scandir(folder / place) as entries:
                files = []
                for entry in entries:
                    n_files += 1
                    if entry.is_dir(follow_symlinks=False):
                        deeper.append(place / entry.name)
                    else:
                        files.append(entry.name)
                    if n_files > FOLDER_FILES:
                        message = f"{folder} holds more than {FOLDER_FILES} files: name the folder of the model itself"
                        raise ValueError(message)
            found += places_in(files, place)
        if found:
            return found
        level = sorted(deeper)
    return []
