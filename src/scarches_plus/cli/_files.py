"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file under another name, then put it in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        write(temporary)
        temporary.replace(path)


def write_h5ad(adata: AnnData, path: Path) -> None:
    """Write an AnnData."""
    write_whole(path, lambda file: adata.write_h5ad(file, compression="gzip"))


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
