"""Find where a model lies on this machine, fetching it if it has to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scarches_plus._arguments import at_home

from ._pull import pull


def local_path(what: str | Path, **options: Any) -> Path:
    """Return the path of a model."""
    path = at_home(what)
    if path.exists() or isinstance(what, Path) or len(path.parts) > 1:
        return path
    return pull(str(what), **options)
