"""Import the reference cells that lie beside a scvi-hub model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._arguments import at_home
from scarches_plus._cells import gene_cells
from scarches_plus._hdf5 import read_checked

from ._finding._find import BUNDLE, CELL_FILES
from ._finding._locate import located
from ._import_model import import_model
from ._layouts._cells_beside import cells_beside, reader_of
from ._manifest import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

#: Where former releases of scvi-tools put latent means, of any class.
_FORMER_KEYS = ("_scvi_latent_qzm", "X_latent_qzm")


def import_reference(path: str | Path, *, prefix: str | None = None, max_bytes: int = 2**34) -> AnnData:
    """Open the cells that lie beside a model, minified or whole.

    Models of scvi-hub have such cells (``adata.h5ad`` or ``mdata.h5mu``).

    The file is looked through before it is read: links and virtual data that would bring in other files of this
    machine, data that would take far more memory than the file has bytes, and sparse matrices whose parts do not agree,
    are refused.

    Parameters
    ----------
    path
        Folder or archive with a model and its cells.
    prefix
        What file names in the folder begin with.
    max_bytes
        Size of all data, unpacked, that is not refused.

    Returns
    -------
    AnnData
        The cells; of MuData its genes. If they are minified, ``obsm["X_scarches"]`` holds their latent means, for
        :func:`scarches_plus.tl.transfer_labels`; else embed them with :func:`scarches_plus.tl.embed`.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    BundleError
        If one of them is damaged or refused.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    given = check.path("path", path)
    check.texts_or_none(prefix=prefix)
    max_bytes = check.whole("max_bytes", max_bytes, least=1)
    with located(at_home(given), prefix, with_cells=True) as (folder, place):
        file = None if place.layout == BUNDLE or place.file else cells_beside(folder, place.prefix)
        if file is None:
            other = (
                "it is a bundle, which sp.hub.load_reference opens"
                if place.layout == BUNDLE
                else f"{folder / place.name} is all there is"
            )
            message = f"{given} holds no cells ({' or '.join(CELL_FILES)}) beside a model: {other}"
            raise FileNotFoundError(message)
        model = import_model(folder / place.name)
        try:
            cells = read_checked(file, reader_of(file), max_bytes=max_bytes)
        except ValueError as error:
            raise BundleError(str(error)) from error
    try:
        return _with_latent(cells, model)
    except Exception as error:  # a damaged file fails in any way there is
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        message = f"{file} cannot be read: {what}"
        raise BundleError(message) from error


def _with_latent(cells: AnnData | MuData, model: Any) -> AnnData:
    """Return cells with the latent means of minified ones where this package has them, and whose they are."""
    adata = gene_cells(cells, model.spec)
    own = model._LATENT_QZM_KEY  # where scvi-tools of today puts latent means when it minifies
    found = next((key for key in (own, f"_{own}", *_FORMER_KEYS) if key in cells.obsm), None)
    if found is None:
        return adata
    latent = np.asarray(cells.obsm[found], dtype=np.float32)
    if latent.shape[1] != model.module.n_latent or not np.isfinite(latent).all():
        message = (
            f"obsm[{found!r}] has not the {model.module.n_latent} dimensions of the model, or values that are not "
            "finite"
        )
        raise ValueError(message)
    adata.obsm[_keys.EMBEDDING] = latent
    record = {"space": model.state.space, "model_class": type(model).__name__}
    known = adata.uns.setdefault(_keys.UNS, {})
    if not isinstance(known, dict):
        message = f"uns[{_keys.UNS!r}] is a {type(known).__name__} and no table"
        raise ValueError(message)
    known[_keys.EMBEDDINGS] = {_keys.EMBEDDING: record}
    return adata
