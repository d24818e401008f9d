"""Read cells from an HDF5 file after checking it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anndata

from ._check_hdf5 import check_hdf5

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from anndata import AnnData

Cells = TypeVar("Cells")


def read_h5ad(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> AnnData:
    """Check an h5ad file and read it, as :func:`read_checked`."""
    return read_checked(path, anndata.read_h5ad, max_bytes=max_bytes)  # type: ignore[no-any-return]


def read_checked(path: str | os.PathLike[str], read: Callable[[Path], Cells], *, max_bytes: int | None = None) -> Cells:
    """Check an HDF5 file, then read cells from it.

    Parameters
    ----------
    path
        The file.
    read
        Takes the path and returns AnnData or MuData, such as ``anndata.read_h5ad`` and ``mudata.read_h5mu``.
    max_bytes
        As in :func:`check_hdf5`.

    Returns
    -------
    The cells.

    Raises
    ------
    ValueError
        If the file is refused, damaged, or not what ``read`` reads; the message names the file.
    OSError
        If there is no such file, or it may not be read.
    """
    path = Path(path)
    check_hdf5(path, max_bytes=max_bytes)
    try:
        return read(path)
    except Exception as error:
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        message = f"{path} cannot be read: {what}"
        raise ValueError(message) from error
