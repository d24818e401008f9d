"""Check a bundle through and through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ._folder import CHECKSUMS, current, read_listed, read_manifest
from ._load_bundle import open_model
from ._manifest import MANIFEST, PROFILES, REFERENCE, BundleError
from ._profile_tensors import unpack_profiles
from ._reference_cells import unpack_reference

if TYPE_CHECKING:
    from ._manifest import Manifest


def verify_bundle(path: str | Path) -> Manifest:
    """Check every file of a bundle, and that its model can be built.

    Parameters
    ----------
    path
        Folder with the bundle.

    Returns
    -------
    Manifest
        What the bundle says about itself.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If anything is damaged, missing, not what the manifest says, or not in it; the message names the file.
    """
    folder = current(Path(path).expanduser().absolute())
    manifest, _ = read_manifest(folder)
    stray = sorted({file.name for file in folder.iterdir()} - {MANIFEST, CHECKSUMS, *manifest.files})
    if stray:
        message = f"{folder / stray[0]} is not in the manifest; remove it"
        raise BundleError(message)
    for name in manifest.files:
        read_listed(folder, manifest, name)
    open_model(folder, manifest)
    if manifest.reference is not None:
        unpack_reference(read_listed(folder, manifest, REFERENCE), manifest, str(folder / REFERENCE))
    if manifest.profiles is not None:
        unpack_profiles(read_listed(folder, manifest, PROFILES), manifest, str(folder / PROFILES))
    return manifest
