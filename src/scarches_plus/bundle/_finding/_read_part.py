"""Read what a bundle carries beside its model: label profiles, a classifier of expression."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from scarches_plus import _arguments as check
from scarches_plus.bundle._format._folder import read_listed, read_manifest
from scarches_plus.bundle._manifest import CLASSIFIER, MANIFEST, PROFILES, BundleError

from ._locate import read_bundle

if TYPE_CHECKING:
    from pathlib import Path

_FILES = {"profiles": PROFILES, "classifier": CLASSIFIER}


def read_part(path: str | Path, part: Literal["profiles", "classifier"], lacking: str) -> Any:
    """Return a part of the bundle in a folder or archive.

    Parameters
    ----------
    path
        Folder or archive.
    part
        Section of the manifest.
    lacking
        What the manifest then lists not, and how it comes into a bundle.

    Raises
    ------
    BundleError
        If the bundle has no such part, or anything is damaged.
    """
    return read_bundle(check.path("path", path), partial(_read, part=part, lacking=lacking))


def _read(folder: Path, part: str, lacking: str) -> Any:
    from scarches_plus.bundle._format import _classifier_tensors, _profile_tensors

    manifest, _ = read_manifest(folder)
    if getattr(manifest, part) is None:
        message = f"{folder / MANIFEST} lists {lacking}"
        raise BundleError(message)
    unpack = {"profiles": _profile_tensors.unpack_profiles, "classifier": _classifier_tensors.unpack_classifier}[part]
    return unpack(read_listed(folder, manifest, _FILES[part]), manifest, str(folder / _FILES[part]))
