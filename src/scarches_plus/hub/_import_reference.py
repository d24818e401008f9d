"""Open the cells of a model of scvi-hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scarches_plus import _keys

from ._import_model import import_model
from ._manifest import BundleError
from ._safe_h5ad import check_h5ad

if TYPE_CHECKING:
    from anndata import AnnData


def import_reference(path: str | Path, *, prefix: str | None = None, max_bytes: int = 2**34) -> AnnData:
    """Open the cells that lie beside a model of scvi-hub (``adata.h5ad``), minified or whole.

    The file is looked through before it is read: links and virtual data that would bring in other files of this machine, and matrices
    that claim to be larger than any memory, are refused.

    Parameters
    ----------
    path
        Folder with ``model.pt`` and ``adata.h5ad``.
    prefix
        What file names in the folder begin with.
    max_bytes
        Size of all data, unpacked, that is not refused.

    Returns
    -------
    AnnData
        The cells. If they are minified, ``obsm["X_scarches"]`` holds their latent means, for
        :func:`scarches_plus.tl.transfer_labels`; else embed them with :func:`scarches_plus.tl.embed`.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    BundleError
        If one of them is damaged or refused.
    """
    folder = Path(path).expanduser()
    file = folder / f"{prefix or ''}adata.h5ad"
    if not file.is_file():
        message = f"{file} is no file"
        raise FileNotFoundError(message)
    model = import_model(folder, prefix=prefix)
    check_h5ad(file, max_bytes=max_bytes)
    from anndata import read_h5ad

    try:
        adata = read_h5ad(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{file} cannot be read: {error}"
        raise BundleError(message) from error
    found = model._LATENT_QZM_KEY  # where scvi-tools puts latent means when it minifies
    if found in adata.obsm:
        if adata.obsm[found].shape[1] != model.module.n_latent:
            message = f"{file}: obsm[{found!r}] has not the {model.module.n_latent} dimensions of the model"
            raise BundleError(message)
        adata.obsm[_keys.EMBEDDING] = adata.obsm[found]
        record = {"space": model.state.space, "model_class": type(model).__name__}
        adata.uns.setdefault(_keys.UNS, {})[_keys.EMBEDDINGS] = {_keys.EMBEDDING: record}
    return adata
