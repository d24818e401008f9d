"""Find the cells that scvi-tools saved beside a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anndata import read_h5ad
from mudata import read_h5mu

from scarches_plus.bundle._finding._find import CELL_FILES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def cells_beside(folder: Path, prefix: str) -> Path | None:
    """Return the file of a model's cells, ``None`` if there is none."""
    return next((file for name in CELL_FILES if (file := folder / f"{prefix}{name}").is_file()), None)


def reader_of(file: Path) -> Callable[..., Any]:
    """Return what reads a file of cells, by its suffix."""
    if file.suffix == ".h5mu":
        return read_h5mu  # type: ignore[no-any-return]

    return read_h5ad
