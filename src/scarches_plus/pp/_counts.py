"""The count matrix of an AnnData, however it is stored: whole, or by blocks of rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

#: Values of a block of rows, zeros included: from disk few large ones (64 MiB as dense numbers of 4 bytes), in memory
#: as many as stay in the cache.
_BLOCK_ON_DISK = 2**24
_BLOCK_IN_MEMORY = 2**22
#: Rows of a view are read along with those between them, if these are at most so many times more.
_READ_BETWEEN = 8


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
    return _in_memory(_matrix(adata, layer))


def stored_counts(adata: AnnData, layer: str | None) -> Any:
    """Return the matrix of a layer (``None``: ``X``) where it lies, in memory or on disk, for :func:`row_blocks`.

    Nothing is loaded, unless the matrix lies on disk by columns (CSC).

    Raises
    ------
    KeyError
        If there is no such layer or no ``X``.
    """
    if not adata.is_view:
        return _by_rows(_matrix(adata, layer))
    parent = _matrix(adata._adata_ref, layer)
    return _in_memory(_matrix(adata, layer)) if is_in_memory(parent) else _RowsOnDisk(_by_rows(parent), adata)


def is_in_memory(matrix: Any) -> bool:
    """Tell whether a matrix is in memory."""
    return sparse.issparse(matrix) or isinstance(matrix, np.ndarray)


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
        take = _rows_of_csr if sparse.issparse(stored) else type(stored).__getitem__
        yield from (take(stored, some) for some in rows)
        return

    def read(some: slice) -> Any:
        return _in_memory(stored[some])

    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = None
        for some in rows:
            ahead, ready = reader.submit(read, some), ahead
            if ready is not None:
                yield ready.result()
        if ahead is not None:
            yield ahead.result()


def _rows_of_csr(matrix: Any, rows: slice) -> Any:
    """Return ``matrix[rows]`` without the copy that scipy makes."""
    first, last = matrix.indptr[rows.start], matrix.indptr[rows.stop]
    block = sparse.csr_matrix((rows.stop - rows.start, matrix.shape[1]), dtype=matrix.dtype)
    block.data, block.indices = matrix.data[first:last], matrix.indices[first:last]
    block.indptr = matrix.indptr[rows.start : rows.stop + 1] - first
    return block


def _matrix(adata: AnnData, layer: str | None) -> Any:
    if layer is not None and layer not in adata.layers:
        message = f"layer {layer!r} not found in adata.layers, which holds {sorted(filter(None, adata.layers))}; layer='X' means adata.X"
        raise KeyError(message)
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        message = "adata.X is empty; name the layer that holds raw counts with `layer=`"
        raise KeyError(message)
    return matrix


def _in_memory(matrix: Any) -> Any:
    if hasattr(matrix, "to_memory"):  # backed sparse data
        matrix = matrix.to_memory()
    elif not is_in_memory(matrix):  # backed dense data
        matrix = np.asarray(matrix)
    if sparse.issparse(matrix) and not isinstance(matrix, sparse.csr_matrix):
        matrix = sparse.csr_matrix(matrix)
    return matrix


def _by_rows(matrix: Any) -> Any:
    if is_in_memory(matrix):
        return _in_memory(matrix)
    if getattr(matrix, "format", None) == "csc":
        message = (
            "the counts lie on disk by genes (CSC), so that all of them are loaded; to have them read cell by cell, "
            "write them once as CSR: adata.to_memory(), then adata.X = adata.X.tocsr()"
        )
        warn(message, UserWarning, stacklevel=2)
        return _in_memory(matrix)
    return matrix


class _RowsOnDisk:
    """Rows of a view of a matrix on disk, which AnnData would load as a whole."""

    def __init__(self, stored: Any, view: AnnData) -> None:
        self._stored = stored
        self._rows = np.arange(stored.shape[0])[view._oidx]
        self._genes = view._vidx
        self.shape = view.shape

    def __getitem__(self, block: slice) -> Any:
        rows, order = np.unique(self._rows[block], return_inverse=True)
        span = slice(rows[0], rows[-1] + 1)
        if span.stop - span.start <= _READ_BETWEEN * len(rows):
            return _in_memory(self._stored[span])[rows[order] - span.start][:, self._genes]
        return _in_memory(self._stored[rows])[order][:, self._genes]


def stored_values(matrix: Any) -> np.ndarray:
    """Return the stored values of a matrix as one array: non-zeros if it is sparse, else all."""
    return matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()


def require_counts(matrix: Any, *, warned: bool = False, stacklevel: int = 3) -> bool:
    """Refuse values that cannot be counts, and warn of those that hardly are.

    Parameters
    ----------
    matrix
        All counts, or a block of them.
    warned
        Do not warn: an earlier block had such values.
    stacklevel
        Of the warning; 3 is the caller of the function that calls this one.

    Returns
    -------
    bool
        Whether there was a warning by now.

    Raises
    ------
    ValueError
        If a value is negative or not finite.
    """
    values = stored_values(matrix)
    if not np.isfinite(values).all() or (values < 0).any():
        message = "counts are negative, infinite or missing: name the layer that holds raw counts with `layer=`"
        raise ValueError(message)
    if warned or not (values % 1).any():
        return warned
    message = "counts are not whole numbers; if they are normalised, name the layer of raw counts with `layer=`"
    warn(message, UserWarning, stacklevel=stacklevel)
    return True
