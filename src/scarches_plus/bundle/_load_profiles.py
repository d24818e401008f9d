"""Load the label profiles of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._finding._locate import read_bundle
from ._format._folder import read_listed, read_manifest
from ._manifest import MANIFEST, PROFILES, BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus._label_profiles import LabelProfiles


def load_profiles(path: str | Path) -> LabelProfiles:
    """Return the label profiles that a bundle carries, by which novel cells are found without any reference cell.

    Parameters
    ----------
    path
        Folder or archive with the bundle, as :func:`pull` returns it for a model by name.

    Returns
    -------
    LabelProfiles
        What :func:`scarches_plus.tl.detect_novel` takes in the place of the reference.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If the bundle carries no profiles, or anything is damaged.
    """
    return read_bundle(check.path("path", path), _read)


def _read(folder: Path) -> LabelProfiles:
    from ._format._profile_tensors import unpack_profiles

    manifest, _ = read_manifest(folder)
    if manifest.profiles is None:
        message = (
            f"{folder / MANIFEST} lists no label profiles: the bundle was saved without any. Where the reference's "
            "cells are: sp.hub.save_bundle(model, path, profiles=sp.tl.label_profiles(reference, labels_key, "
            "batch_key))"
        )
        raise BundleError(message)
    return unpack_profiles(read_listed(folder, manifest, PROFILES), manifest, str(folder / PROFILES))
