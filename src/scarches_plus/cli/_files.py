"""Files of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._files import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData


def write_h5ad(adata: AnnData, path: Path) -> None:
    """Write an AnnData."""
    write_file(path, lambda file: adata.write_h5ad(file, compression="gzip"))


def read_h5ad(path: Path) -> AnnData:
    """Read an AnnData.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    import anndata

    if not path.is_file():
        message = f"{path} is no file"
        raise FileNotFoundError(message)
    return anndata.read_h5ad(path)
