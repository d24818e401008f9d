"""Load the reference summary of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._finding._locate import read_bundle
from ._format._folder import read_manifest
from ._manifest import MANIFEST, BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus._reference_summary import ReferenceSummary


def load_summary(path: str | Path) -> ReferenceSummary:
    """Return what a bundle says of its reference without cells, for labels, novelty and the map.

    Parameters
    ----------
    path
        Folder or archive with the bundle, as :func:`pull` returns it for a model by name.

    Returns
    -------
    ReferenceSummary
        What :func:`scarches_plus.tl.detect_novel`, :func:`scarches_plus.tl.annotate` and
        :func:`scarches_plus.tl.place` take in the place of the reference, and :func:`scarches_plus.tl.transfer_labels`
        as its classifier. Parts that were not kept are ``None``. Mixtures of the latent space come with the model
        (:func:`load_bundle`).

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If the bundle has neither label profiles, nor a classifier, nor a map, or anything is damaged.
    """
    return read_bundle(check.path("path", path), _read)


def _read(folder: Path) -> ReferenceSummary:
    from ._summary._read_summary import read_summary

    manifest, _ = read_manifest(folder)
    summary = read_summary(folder, manifest)
    if all(part is None for part in vars(summary).values()):
        message = (
            f"{folder / MANIFEST} lists neither label profiles, nor a classifier, nor a map: the bundle was saved "
            "without. Where the reference's cells are: sp.hub.save_bundle(model, path, "
            "summary=sp.tl.reference_summary(reference, labels_key, batch_key))"
        )
        raise BundleError(message)
    return summary
