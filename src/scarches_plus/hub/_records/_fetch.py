"""Fetch a model from a record or repository into the cache."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from scarches_plus._files import cache_folder, cache_subfolder, check_space, locked, open_regular
from scarches_plus._http import Expected
from scarches_plus._logging import logger
from scarches_plus._text import for_message
from scarches_plus.bundle import BundleError
from scarches_plus.hub._web._fetch_file import fetch_file
from scarches_plus.hub._web._get import is_offline

from . import _huggingface, _zenodo
from ._choose import choose
from ._pins import PinFile
from ._place import DOIS, HUGGING_FACE, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ._choose import Choice
    from ._listing import Listing
    from ._pins import PinnedFile
    from ._place import Place

_FOLDER = "records"


def fetch_record(
    place: Place,
    *,
    cache_dir: str | Path | None,
    allow_latest: bool,
    offline: bool,
    max_bytes: int,
    progress: bool,
    with_cells: bool,
) -> Path:
    """Return the folder of a model, or its file, in the cache: fetched if it is not there.

    Sizes and checksums are those that the service gives. At first use, they and the sha256 of what was fetched are
    written down; later they have to be the same.

    Raises
    ------
    KeyError
        If the number of a record stands for all versions, and ``allow_latest`` is not set.
    ValueError
        If it is not clear which of the files is the model.
    OSError
        If the service or a file does not come, or nothing may be fetched.
    BundleError
        If anything is not what it was, or not what the service says, or too large.
    """
    cache, offline = cache_folder(cache_dir), is_offline(offline=offline)
    version, listing = _version_of(place, cache, allow_latest=allow_latest, offline=offline)
    pins = PinFile(cache, version)
    there = _kept(version, pins, cache, with_cells=with_cells)
    if there is not None:
        return there
    if offline:
        message = f"{version} is not, or not whole, in the cache, and is not fetched: offline"
        raise OSError(message)
    listing = listing or _ask(version)
    with locked(cache_subfolder(cache, "hub", ".locks") / version.key):
        return _fetched(version, listing, pins, cache, max_bytes=max_bytes, progress=progress, with_cells=with_cells)


def _version_of(place: Place, cache: Path, *, allow_latest: bool, offline: bool) -> tuple[Place, Listing | None]:
    """Return the version that a place stands for, and its files if the service was asked."""
    own = PinFile(cache, place)
    known = own.read()
    if known is not None and not known.stands_for:
        return place, None
    may_move = place.service == HUGGING_FACE
    if known is not None and (offline or (may_move and not allow_latest)):
        if not may_move and not allow_latest:
            _refuse_all_versions(place, known.stands_for)
        logger.info(
            "%s stands for %s since it was first used (%s); allow_latest=True asks again",
            place,
            known.stands_for,
            own.path,
        )
        return _with(place, known.stands_for), None
    if offline:
        message = f"{place} is not in the cache, and is not fetched: offline"
        raise OSError(message)
    listing = _ask(place)
    if listing.place == place.whole:
        return place, listing
    if not may_move and not allow_latest:
        _refuse_all_versions(place, str(listing.place))
    if known is not None and known.stands_for != str(listing.place):
        logger.warning("%s stood for %s, and now stands for %s", place, known.stands_for, listing.place)
    else:
        logger.info("%s stands for %s", place, listing.place)
    own.write(stands_for=str(listing.place))
    return replace(listing.place, within=place.within), listing


def _with(place: Place, stands_for: str) -> Place:
    version = place_of(stands_for)
    if version is None:
        message = f"{for_message(stands_for)} is no record or repository"
        raise BundleError(message)
    return replace(version, within=place.within)


def _refuse_all_versions(place: Place, newest: str) -> NoReturn:
    start = DOIS[place.service]
    message = (
        f"{start}{place.name} is the DOI of all versions; take that of one of them, the newest is "
        f"{start}{newest.rpartition('/')[2]}, or pass allow_latest=True"
    )
    raise KeyError(message)


def _ask(place: Place) -> Listing:
    return _huggingface.list_repository(place) if place.service == HUGGING_FACE else _zenodo.list_record(place)


def _address(place: Place, path: str) -> str:
    return (_huggingface if place.service == HUGGING_FACE else _zenodo).address_of(place, path)


def _target(cache: Path, place: Place, choice: Choice) -> Path:
    """Return where files lie: those of a whole record together, any other choice by itself."""
    name = place.key
    if place.within or not choice.is_folder:
        kind = place.within if choice.is_folder else choice.paths[0]
        name += f"-{hashlib.sha256(f'{choice.is_folder} {kind}'.encode()).hexdigest()[:12]}"
    return cache / "hub" / _FOLDER / name


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _result(folder: Path, choice: Choice) -> Path:
    return folder if choice.is_folder else folder / _name(choice.paths[0])


def _kept(place: Place, pins: PinFile, cache: Path, *, with_cells: bool) -> Path | None:
    """Return the model if all of it is in the cache, and what it was at first use."""
    known = pins.read()
    if known is None:
        return None
    choice = choose(place, known.files, with_cells=with_cells)
    folder = _target(cache, place, choice)
    for path in choice.paths:
        file = folder / _name(path)
        pinned = known.files[path].sha256
        if pinned is None or not file.is_file() or _sha256(file) != pinned:
            return None
    return _result(folder, choice)


def _fetched(
    place: Place, listing: Listing, pins: PinFile, cache: Path, *, max_bytes: int, progress: bool, with_cells: bool
) -> Path:
    known = pins.read()  # another process may have been faster
    files: Mapping[str, PinnedFile] = listing.files
    if known is not None:
        pins.require_same(known.files, files)
        files = known.files
    choice = choose(place, files, left_out=listing.left_out, with_cells=with_cells)
    _require_size(place, sum(files[path].size for path in choice.paths), max_bytes)
    expected = {path: _expected(place, path, files[path]) for path in choice.paths}
    folder = _target(cache, place, choice)
    cache_subfolder(cache, "hub", _FOLDER)
    missing = sum(files[path].size for path in choice.paths if not (folder / _name(path)).is_file())
    if missing:
        check_space(folder, missing)
    new = {}
    for path in choice.paths:
        file = folder / _name(path)
        fetch_file([_address(place, path)], file, expected[path], progress=progress)
        found, pinned = _sha256(file), files[path].sha256
        if pinned not in {None, found}:
            file.unlink()
            pins.refuse(f"{for_message(path, 100)} had the sha256 {pinned}, and has {found}")
        new[path] = files[path].model_copy(update={"sha256": found})
    pins.write(files={**files, **new})
    return _result(folder, choice)


def _require_size(place: Place, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        message = f"{place} has {size} bytes, more than max_bytes={max_bytes}"
        raise BundleError(message)


def _expected(place: Place, path: str, file: PinnedFile) -> Expected:
    try:
        return Expected(file.checksum, file.size)
    except ValueError as error:
        message = f"{place.whole}: {for_message(path, 100)} {error}"
        raise BundleError(message) from None


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
