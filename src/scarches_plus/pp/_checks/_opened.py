"""Open a model that is given by its path, name or address."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def opened(what: Any) -> Any:
    """Return the model that a text or path names; anything else as it is."""
    if not isinstance(what, str | Path):
        return what
    from scarches_plus._load import load

    return load(what)
