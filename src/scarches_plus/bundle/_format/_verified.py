"""Check every file of a folder with a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus.bundle._manifest import CHECKSUMS, MANIFEST, REFERENCE, BundleError
from scarches_plus.bundle._summary._fewest_cells import require_enough_cells
from scarches_plus.bundle._summary._read_summary import read_summary

from ._folder import read_listed, read_manifest
from ._open_model import open_model
from ._reference_cells import unpack_reference

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus.bundle._manifest import Manifest


def verified(folder: Path) -> Manifest:
    """Return the manifest of a bundle whose files are whole and make a model."""
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
    summary = read_summary(folder, manifest)
    try:
        require_enough_cells(model.state.summaries, summary)
    except ValueError as error:
        message = f"{folder}: {error}"
        raise BundleError(message) from error
    return manifest
