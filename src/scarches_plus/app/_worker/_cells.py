"""Read the cells of a query as the page takes them, and name their batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus._cell_files import kind_of, read_cells

from ._archive import unpacked_matrix

if TYPE_CHECKING:
    from anndata import AnnData

#: Column and name of the one batch of cells that have no column of batches.
ONE_BATCH = "query_batch"
BATCH = "query"


def read_query(query: str, options: dict[str, Any]) -> tuple[AnnData, str]:
    """Return the cells of a file, and the kind of the file."""
    with unpacked_matrix(Path(query)) as path:
        kind = kind_of(path)
        modality = options.get("modality") if kind == "h5mu" else None
        transpose = bool(options.get("transpose")) and kind == "table"
        return read_cells(path, modality=modality, transpose=transpose), kind


def name_batches(adata: AnnData, options: dict[str, Any]) -> str:
    """Return the column of batches; cells without one get one.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    key = options.get("batch_key")
    if key is None:
        adata.obs[ONE_BATCH] = BATCH
        return ONE_BATCH
    if key not in adata.obs:
        message = f"there is no column {key!r} of batches; the cells have {[str(name) for name in adata.obs]}"
        raise KeyError(message)
    return str(key)
