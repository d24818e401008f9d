"""Return the cache folder for downloaded files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._settings import settings

if TYPE_CHECKING:
    from pathlib import Path

CACHE_VARIABLE = "SCARCHES_PLUS_CACHE"


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the cache folder: the argument, that of the settings, ``$SCARCHES_PLUS_CACHE`` or the platform's."""
    if cache_dir is not None:
        check.path("cache_dir", cache_dir)
    import pooch

    return check.at_home(
        cache_dir or settings.cache_dir or os.environ.get(CACHE_VARIABLE) or pooch.os_cache("scarches_plus")
    ).resolve()
