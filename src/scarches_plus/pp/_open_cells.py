"""Open cells whose counts stay on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._cell_files import open_cells as _open_cells

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData


def open_cells(path: str | Path) -> AnnData:
    """Open an .h5ad file or a .zarr folder with its counts left on disk.

    The result is an ordinary AnnData whose ``X`` and layers are read when they are needed, a few thousand cells at a
    time: references are built of it (:func:`scarches_plus.tl.build_reference`), and it is mapped
    (:func:`scarches_plus.tl.map_query`) and embedded, in a memory that does not grow with the counts. Results are
    written into it, not into the file.

    Parameters
    ----------
    path
        An .h5ad file, or a .zarr folder of AnnData, such as :func:`write_store` makes. Counts must lie by cells (CSR,
        or dense).

    Returns
    -------
    AnnData
        ``X`` and layers on disk; ``obs``, ``var``, ``uns``, ``obsm`` and ``varm`` in memory. Graphs of cells
        (``obsp``) and ``raw`` are left out.

    Raises
    ------
    ValueError
        If it is of another kind, or damaged; the message names it.
    OSError
        If it is not there or cannot be read.
    TypeError
        If ``path`` is no path.
    """
    return _open_cells(check.path("path", path))
