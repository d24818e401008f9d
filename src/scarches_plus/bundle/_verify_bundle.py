"""Verify every file of a bundle, and that its model can be built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._format._fewest_cells import require_enough_cells
from ._format._folder import read_listed, read_manifest
from ._format._profile_tensors import unpack_profiles
from ._format._reference_cells import unpack_reference
from ._layouts._locate import read_bundle
from ._load_bundle import open_model
from ._manifest import CHECKSUMS, MANIFEST, PROFILES, REFERENCE, BundleError

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
    return read_bundle(check.path("path", path), _verified)


def _verified(folder: Path) -> Manifest:
    manifest, _ = read_manifest(folder)
    stray = sorted({file.name for file in folder.iterdir()} - {MANIFEST, CHECKSUMS, *manifest.files})
    if stray:
        message = f"{folder / stray[0]} is not in the manifest; remove it"
        raise BundleError(message)
    for name in manifest.files:
        read_listed(folder, manifest, name)
    model = open_model(folder, manifest)
    if manifest.reference is not None:
        unpack_reference(read_listed(folder, manifest, REFERENCE), manifest, str(folder / REFERENCE))
    profiles = None
    if manifest.profiles is not None:
        profiles = unpack_profiles(read_listed(folder, manifest, PROFILES), manifest, str(folder / PROFILES))
    try:
        require_enough_cells(model.state.summaries, profiles)
    except ValueError as error:
        message = f"{folder}: {error}"
        raise BundleError(message) from error
    return manifest
