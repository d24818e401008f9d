"""Read the cells of a query as the page takes them, and name their batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus._cell_files import kind_of, read_cells
from scarches_plus._cells import unused_name

from ._archive import unpacked_matrix

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData

#: Column and name of the one batch of cells that have no column of batches, unless these are taken.
ONE_BATCH = "query_batch"
BATCH = "query"


def read_query(query: str, options: dict[str, Any]) -> tuple[AnnData, str]:
    """Return the cells of a file, and the kind of the file."""
    with unpacked_matrix(Path(query)) as path:
        kind = kind_of(path)
        modality = options.get("modality") if kind == "h5mu" else None
        transpose = bool(options.get("transpose")) and kind == "table"
        return read_cells(path, modality=modality, transpose=transpose), kind


def name_batches(adata: AnnData, key: str | None, known: Collection[str]) -> str:
    """Return the column of batches; cells without one get one.

    Parameters
    ----------
    adata
        Cells.
    key
        Column of batches, if there is one.
    known
        Batches of the reference, whose names the new batch does not take.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    if key is None:
        key = unused_name(ONE_BATCH, adata.obs)
        adata.obs[key] = unused_name(BATCH, known)
        return key
    if key not in adata.obs:
        message = f"there is no column {key!r} of batches; the cells have {[str(name) for name in adata.obs]}"
        raise KeyError(message)
    return key
