"""Fetch files of known size and checksum once, from mirrors in turn, and keep them in the cache."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from scarches_plus._files import cache_subfolder, locked, write_file
from scarches_plus._http import TRIES, Download, Expected, is_address
from scarches_plus.bundle import BundleError, read_file

from ._get import get, is_offline

if TYPE_CHECKING:
    from collections.abc import Sequence


def fetch_file(
    addresses: Sequence[str], target: Path, expected: Expected, *, offline: bool = False, progress: bool = False
) -> int:
    """Bring a file to its place in the cache, if it is not there, and return which address delivered it.

    Every address is tried, again after a while if it is overloaded or breaks off; what has arrived is kept, and the
    rest is asked for. Processes that want the same file wait for each other.

    Raises
    ------
    OSError
        If no address delivers the file, naming what each answered.
    """
    if expected.is_at(target):  # in a cache that need not be ours to write
        return 0
    cache, hub = target.parents[2], target.parents[1].name
    cache_subfolder(cache, hub, target.parent.name)
    locks = cache_subfolder(cache, hub, ".locks")  # a lock has to stay where others wait for it
    with locked(locks / f"{target.parent.name}-{target.name}"):
        if expected.is_at(target):
            return 0
        failures = []
        for number, address in enumerate(addresses):
            try:
                if not is_address(address):
                    _copy(Path(address), target, expected)
                elif is_offline(offline=offline):
                    message = "not fetched: offline"
                    raise OSError(message)
                else:
                    Download(expected, target, get, TRIES, progress).place(address, target)
            except (OSError, ValueError) as error:
                failures.append(f"  {address}: {error}")
            else:
                return number
    message = "\n".join([f"could not fetch {target.name}:", *failures])
    raise OSError(message)


def _copy(source: Path, target: Path, expected: Expected) -> None:
    contents = read_file(source.parent, source.name, size=int(expected.size))
    if not expected.fits(io.BytesIO(contents), len(contents)):
        message = f"{source} has not the {expected.kind} of the index"
        raise BundleError(message)
    write_file(target, contents, keep=False)
