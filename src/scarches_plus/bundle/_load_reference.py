"""Load the reference cells of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._finding._locate import read_bundle
from ._format._folder import read_listed, read_manifest
from ._manifest import MANIFEST, REFERENCE, BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData


def load_reference(path: str | Path) -> AnnData:
    """Return the reference cells that a bundle carries, as far as it carries any.

    Parameters
    ----------
    path
        Folder or archive with the bundle.

    Returns
    -------
    AnnData
        What was put into the bundle: ``obsm["X_scarches"]``, ``obsm["X_scarches_variance"]``, labels in ``obs``,
        ``obsm["X_umap"]``, counts in ``X``, and the index by which neighbours are searched. Cells are named anew.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If the bundle carries no cells, or anything is damaged.
    """
    return read_bundle(check.path("path", path), _read)


def _read(folder: Path) -> AnnData:
    from ._format._reference_cells import unpack_reference

    manifest, _ = read_manifest(folder)
    if manifest.reference is None:
        message = (
            f"{folder / MANIFEST} lists no reference cells: the bundle was saved without any. Its model labels cells "
            "by its summary, if it has one: sp.tl.transfer_labels(query, model, labels_key)"
        )
        raise BundleError(message)
    return unpack_reference(read_listed(folder, manifest, REFERENCE), manifest, str(folder / REFERENCE))
