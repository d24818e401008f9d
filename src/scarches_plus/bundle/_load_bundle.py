"""Load the model of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._finding._locate import read_bundle
from ._format._folder import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus.model import SCANVI, SCVI, TOTALVI


def load_bundle(path: str | Path) -> SCVI | SCANVI | TOTALVI:
    """Open a model that :func:`save_bundle` wrote, here or elsewhere.

    Nothing in the folder is executed. Sizes and hashes of files, and names, types and shapes of tensors, are checked
    before anything is used, and before memory is taken for the network. Neither the reference's cells nor the versions
    of the machine that wrote the bundle are needed.

    Parameters
    ----------
    path
        Folder or archive with the bundle.

    Returns
    -------
    The model, without cells, in evaluation mode. Queries map onto it as onto the model that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If anything in it is damaged, missing or not what the manifest says; the message names the file.
    """
    from ._format._open_model import open_model

    return read_bundle(check.path("path", path), lambda folder: open_model(folder, read_manifest(folder)[0]))
