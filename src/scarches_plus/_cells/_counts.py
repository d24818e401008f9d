"""Read the count matrix of an AnnData, whole or by blocks of rows, from memory or disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from ._matrices import in_memory, is_in_memory, require_sound
from ._measured import read_record, write_record
from ._on_disk import CountsOnDisk, read_rows
from ._prototypes import are_prototypes

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Values of a block of rows, zeros included: from disk few large ones (64 MiB as dense numbers of 4 bytes), in memory
#: as many as stay in the cache.
_BLOCK_ON_DISK = 2**24
_BLOCK_IN_MEMORY = 2**22


def counts_layer(layer: str | None, reference: str | None) -> str | None:
    """Return the layer to read: the reference's unless another is named, ``None`` for ``X``."""
    named = reference if layer is None else layer
    return None if named == "X" else named


def counts_of(adata: AnnData, layer: str | None) -> Any:
    """Return the matrix of a layer (``None``: ``X``) in memory: CSR if it is sparse, else dense.

    A CSR matrix or dense array comes back as it is, without a copy.

    Raises
    ------
    KeyError
        If there is no such layer or no ``X``.
    """
    return in_memory(matrix_of(adata, layer), _owner(layer))


def stored_counts(adata: AnnData, layer: str | None) -> Any:
    """Return the matrix of a layer (``None``: ``X``) where it lies, in memory or on disk, for :func:`row_blocks`.

    Nothing is loaded, unless the matrix lies on disk by columns (CSC).

    Raises
    ------
    KeyError
        If there is no such layer or no ``X``.
    """
    if not adata.is_view:
        return _by_rows(matrix_of(adata, layer), _owner(layer))
    parent = _stored_matrix(adata._adata_ref, layer)
    if is_in_memory(parent):
        return in_memory(matrix_of(adata, layer), _owner(layer))
    stored = _by_rows(parent, _owner(layer))
    cells = np.arange(stored.shape[0])[adata._oidx]
    genes = np.arange(stored.shape[1])[adata._vidx]
    return (stored if isinstance(stored, CountsOnDisk) else CountsOnDisk(stored)).on_cells(cells).on_genes(genes)


def readable_counts(adata: AnnData, layer: str | None) -> Any:
    """Return what :func:`stored_counts` does such that ``counts[rows]`` reads any cells, also from disk.

    Raises
    ------
    KeyError
        If there is no such layer or no ``X``.
    """
    stored = stored_counts(adata, layer)
    return stored if is_in_memory(stored) or isinstance(stored, CountsOnDisk) else CountsOnDisk(stored)


def left_on_disk(adata: AnnData, layer: str | None) -> AnnData:
    """Return cells whose counts lie on disk such that they stay there, without anything else; others as they are.

    Counts that lie by genes (CSC) are none that cells could be read of.

    Raises
    ------
    KeyError
        If there is no such layer or no ``X``.
    """
    parent = _stored_matrix(adata._adata_ref if adata.is_view else adata, layer)
    if is_in_memory(parent) or getattr(parent, "format", None) == "csc":
        return adata
    counts = readable_counts(adata, layer)
    layers = None if layer is None else {layer: counts}
    cells = AnnData(None if layer else counts, adata.obs, pd.DataFrame(index=adata.var_names), layers=layers)
    record = read_record(adata)
    if record is not None:
        write_record(cells, *record)
    return cells


def row_blocks(stored: Any, n_rows: int | None = None) -> Iterator[Any]:
    """Read a matrix in blocks of consecutive rows, from disk one block ahead of where they are used.

    Parameters
    ----------
    stored
        What :func:`stored_counts` returns, shape ``(n_cells, n_genes)``.
    n_rows
        Rows of a block; ``None`` means 16 million values from disk and 4 million in memory, zeros included.

    Yields
    ------
    CSR matrix or dense array
        In memory, not to be changed: it may share the data of ``stored``.
    """
    n_cells, n_genes = stored.shape
    n_values = _BLOCK_IN_MEMORY if is_in_memory(stored) else _BLOCK_ON_DISK
    n_rows = n_rows or max(1, n_values // max(1, n_genes))
    rows = [slice(start, min(start + n_rows, n_cells)) for start in range(0, n_cells, n_rows)]
    if is_in_memory(stored):
        take = rows_of_csr if sparse.issparse(stored) else type(stored).__getitem__
        yield from (take(stored, some) for some in rows)
        return

    def read(some: slice) -> Any:
        return read_rows(stored, some)

    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = None
        for some in rows:
            ahead, ready = reader.submit(read, some), ahead
            if ready is not None:
                yield ready.result()
        if ahead is not None:
            yield ahead.result()


def rows_of_csr(matrix: Any, rows: slice) -> Any:
    """Return ``matrix[rows]`` without the copy that scipy makes."""
    first, last = matrix.indptr[rows.start], matrix.indptr[rows.stop]
    block = sparse.csr_matrix((rows.stop - rows.start, matrix.shape[1]), dtype=matrix.dtype)
    block.data, block.indices = matrix.data[first:last], matrix.indices[first:last]
    block.indptr = matrix.indptr[rows.start : rows.stop + 1] - first
    return block


def _owner(layer: str | None) -> str:
    return "adata.X" if layer is None else f"adata.layers[{layer!r}]"


def matrix_of(adata: AnnData, layer: str | None) -> Any:
    """Return a matrix of the cells, for a view once the one it is taken from is known to be sound."""
    if adata.is_view:
        require_sound(_stored_matrix(adata._adata_ref, layer), _owner(layer))
    return _stored_matrix(adata, layer)


def _stored_matrix(adata: AnnData, layer: str | None) -> Any:
    if layer is not None and layer not in adata.layers:
        message = (
            f"layer {layer!r} not found in adata.layers, which holds {sorted(map(str, filter(None, adata.layers)))}; "
            "layer='X' means adata.X"
        )
        raise KeyError(message)
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None and are_prototypes(adata):
        message = (
            "these are prototypes, which are means in the latent space and have no counts: pass the cells that they "
            "stand for, or a summary that was made of those cells (sp.tl.reference_summary); labels by latent space "
            "need no counts (sp.tl.transfer_labels)"
        )
        raise KeyError(message)
    if matrix is None:
        message = "adata.X is empty; name the layer that holds raw counts with `layer=`"
        raise KeyError(message)
    return matrix


def _by_rows(matrix: Any, owner: str) -> Any:
    if is_in_memory(matrix):
        return in_memory(matrix, owner)
    if getattr(matrix, "format", None) == "csc":
        message = (
            "the counts lie on disk by genes (CSC), so that all of them are loaded; to have them read cell by cell, "
            "write them once as CSR: adata.to_memory(), then adata.X = adata.X.tocsr()"
        )
        warn(message, UserWarning, stacklevel=2)
        return in_memory(matrix, owner)
    return matrix


def stored_values(matrix: Any) -> np.ndarray:
    """Return the stored values of a matrix as one array: non-zeros if it is sparse, else all."""
    return matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()
