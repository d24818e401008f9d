"""Check every file of a folder with a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus.bundle._manifest import CHECKSUMS, CLASSIFIER, MANIFEST, PROFILES, REFERENCE, BundleError

from ._classifier_tensors import unpack_classifier
from ._fewest_cells import require_enough_cells
from ._folder import read_listed, read_manifest
from ._open_model import open_model
from ._profile_tensors import unpack_profiles
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
    profiles = classifier = None
    if manifest.profiles is not None:
        profiles = unpack_profiles(read_listed(folder, manifest, PROFILES), manifest, str(folder / PROFILES))
    if manifest.classifier is not None:
        contents = read_listed(folder, manifest, CLASSIFIER)
        classifier = unpack_classifier(contents, manifest, str(folder / CLASSIFIER))
    try:
        require_enough_cells(model.state.summaries, profiles, classifier)
    except ValueError as error:
        message = f"{folder}: {error}"
        raise BundleError(message) from error
    return manifest
