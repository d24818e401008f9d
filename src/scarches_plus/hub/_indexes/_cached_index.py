"""Fetch an index from the web, and fall back on its last good copy."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING, TypeVar

from scarches_plus._files import cache_folder, cache_subfolder, write_file
from scarches_plus._logging import logger
from scarches_plus.bundle import read_file
from scarches_plus.hub._web._get import fetch_small, is_offline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Index = TypeVar("Index")
_FOLDER = "indexes"


def cached_index(
    url: str,
    parse: Callable[[bytes, str], Index],
    *,
    at_most: int,
    cache_dir: str | Path | None = None,
    offline: bool = False,
) -> Index:
    """Return the index at an address, or the last good copy of it if nothing may be fetched, or nothing good comes.

    Raises
    ------
    OSError
        If it cannot be fetched, and there is no copy.
    BundleError
        If what comes is no index, and there is no copy.
    """
    cache = cache_folder(cache_dir)
    folder = cache / "hub" / _FOLDER
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"
    try:
        text = fetch_small(url, at_most=at_most, offline=offline)
        index = parse(text, url)
    except (OSError, ValueError) as error:
        copy = _copy(folder, name, parse, at_most)
        if copy is None:
            raise
        if not is_offline(offline=offline):
            message = f"the last copy of {url} is used: {error}"
            warnings.warn(message, UserWarning, stacklevel=2)
        return copy
    try:
        write_file(cache_subfolder(cache, "hub", _FOLDER) / name, text, keep=False)
    except OSError as error:
        logger.warning("no copy of %s is kept: %s", url, error)
    return index


def _copy(folder: Path, name: str, parse: Callable[[bytes, str], Index], at_most: int) -> Index | None:
    try:
        return parse(read_file(folder, name, at_most=at_most), str(folder / name))
    except (OSError, ValueError):
        return None
