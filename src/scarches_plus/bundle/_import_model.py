"""Import a model from a bundle, a scvi-tools folder or an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._finding._open import open_path
from ._manifest import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus.model import SCANVI, SCVI, TOTALVI


def import_model(path: str | Path, *, prefix: str | None = None, trust_pickle: bool = False) -> SCVI | SCANVI | TOTALVI:
    """Open a model that scvi-tools or this package saved; :func:`scarches_plus.load` with errors of this module.

    Models of scvi-hub, minified ones too, are such folders: :func:`import_reference` opens their cells.

    Parameters
    ----------
    path
        Folder, file or archive.
    prefix
        What file names in the folder begin with.
    trust_pickle
        Let scvi-tools open the file, which executes what it says. Only for files of people you trust.

    Returns
    -------
    The model, without cells. To share it, :func:`save_bundle` writes it without a pickle.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    BundleError
        If the file is damaged, is no model, or asks for more than a model needs.
    TypeError
        If the model is of a class that this package does not support.
    """
    folder = check.path("path", path)
    check.texts_or_none(prefix=prefix)
    check.flags(trust_pickle=trust_pickle)
    try:
        return open_path(folder, prefix=prefix, trust_pickle=trust_pickle)  # type: ignore[no-any-return]
    except ValueError as error:
        raise BundleError(str(error)) from error
