"""Verify every file of a bundle, and that its model can be built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._finding._locate import read_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from ._manifest import Manifest


def verify_bundle(path: str | Path) -> Manifest:
    """Check every file of a bundle, that its model can be built, and that no label is described by a few cells.

    Parameters
    ----------
    path
        Folder or archive with the bundle.

    Returns
    -------
    Manifest
        What the bundle says about itself.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If anything is damaged, missing, not what the manifest says, or not in it, or describes labels by fewer than 20
        cells; the message names the file.
    """
    from ._format._verified import verified

    return read_bundle(check.path("path", path), verified)
