"""Remove a folder that this package made."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Remove a folder of ours with all that is in it; a link in its place is left alone, and so is what is gone."""
    if not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
