"""Fetch files of known size and hash into the cache, resuming partial downloads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tqdm.auto import tqdm

from scarches_plus._files import cache_subfolder, locked, open_part, place_part, write_file
from scarches_plus._http import Answer, TryLaterError, chunks, is_address
from scarches_plus.bundle import BundleError, read_file

from . import _backoff
from ._expected import Expected
from ._transport import PARTIAL, get, is_offline, require_success

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scarches_plus.bundle import FileEntry

_BEYOND = 416


def fetch_file(
    addresses: Sequence[str],
    target: Path,
    entry: FileEntry | Expected,
    *,
    offline: bool = False,
    progress: bool = False,
) -> int:
    """Fetch a file into the cache if it is not there, and return which address delivered it.

    Its place in the cache is ``cache/hub/bundle/file``.

    Every address is tried, again after a while if it is overloaded or breaks off; what has arrived is kept, and the
    rest is asked for. Processes that want the same file wait for each other.

    Raises
    ------
    OSError
        If no address delivers the file, naming what each answered.
    """
    entry = entry if isinstance(entry, Expected) else Expected(entry.size, f"sha256:{entry.sha256}")
    if _is_there(target, entry):  # in a cache that need not be ours to write
        return 0
    cache, hub = target.parents[2], target.parents[1].name
    cache_subfolder(cache, hub, target.parent.name)
    locks = cache_subfolder(cache, hub, ".locks")  # a lock has to stay where others wait for it
    with locked(locks / f"{target.parent.name}-{target.name}"):
        if _is_there(target, entry):
            return 0
        failures = []
        for number, address in enumerate(addresses):
            try:
                if not is_address(address):
                    _copy(Path(address), target, entry)
                elif is_offline(offline=offline):
                    message = "not fetched: offline"
                    raise OSError(message)
                else:
                    _download(address, target, entry, progress=progress)
            except (OSError, ValueError) as error:
                failures.append(f"  {address}: {error}")
            else:
                return number
    message = "\n".join([f"could not fetch {target.name}:", *failures])
    raise OSError(message)


def _is_there(target: Path, entry: Expected) -> bool:
    if not target.is_file() or target.stat().st_size != entry.size:
        return False
    return entry.fits(target.read_bytes())


def _copy(source: Path, target: Path, entry: Expected) -> None:
    contents = read_file(source.parent, source.name, size=entry.size)
    if not entry.fits(contents):
        message = f"{source} has not the {entry.kind} of the index"
        raise BundleError(message)
    write_file(target, contents, keep=False)


def _download(url: str, target: Path, entry: Expected, *, progress: bool) -> None:
    """Fetch a file; what has arrived of it when this breaks off is kept."""
    file, part = open_part(target)
    with file:
        try:
            _complete(url, file, entry, target.name, progress=progress)
        finally:
            if not file.seek(0, os.SEEK_END):
                part.unlink(missing_ok=True)
        file.flush()
        os.fsync(file.fileno())
    place_part(part, target)


def _complete(url: str, file: BinaryIO, entry: Expected, name: str, *, progress: bool) -> None:
    """Fetch a file; once more from its beginning if what had arrived before was of something else."""
    for _ in range(2):
        resumed = _backoff.patiently(lambda: _go_on(url, file, entry, name, progress=progress))
        file.seek(0)
        contents = file.read()
        if entry.fits(contents):
            return
        file.truncate(0)
        if not resumed:
            break
    hint = "; it is a web page" if contents[:40].lstrip().lower().startswith((b"<!doctype", b"<html")) else ""
    message = f"sent something else than the file (wrong {entry.kind}{hint})"
    raise BundleError(message)


def _go_on(url: str, file: BinaryIO, entry: Expected, name: str, *, progress: bool) -> bool:
    """Fetch what is missing, and no more than the size that is known; return whether something was there before."""
    start = file.seek(0, os.SEEK_END)
    with get(url, {"Range": f"bytes={start}-"} if start else {}) as answer:
        if answer.status_code == _BEYOND and start:  # what has arrived is of another file
            file.truncate(0)
            message = "has less than what arrived before"
            raise TryLaterError(message, 0.0)
        require_success(answer)
        goes_on: bool = answer.status_code == PARTIAL
        if not goes_on:
            _require_size(answer, entry.size)
            file.seek(0)
            file.truncate()
        left = entry.size - (start if goes_on else 0)
        bar = tqdm(total=left, unit="B", unit_scale=True, desc=name, disable=not progress)
        with bar:
            for chunk in chunks(answer):
                left -= len(chunk)
                if left < 0:
                    file.truncate(0)
                    message = f"sends more than the {entry.size} bytes of the file"
                    raise BundleError(message)
                file.write(chunk)
                bar.update(len(chunk))
    if left:
        message = f"has delivered {file.tell()} of {entry.size} bytes"
        raise TryLaterError(message)
    return goes_on


def _require_size(answer: Answer, size: int) -> None:
    """Raise if an answer announces something else than the file, before it takes the place of what has arrived."""
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) != size:
        kind = " of a web page" if "html" in answer.headers.get("Content-Type", "") else ""
        message = f"sends {announced} bytes{kind}, and the file has {size}"
        raise BundleError(message)
