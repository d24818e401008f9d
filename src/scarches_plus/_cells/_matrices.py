"""Convert matrices to CSR or dense arrays, and refuse damaged sparse indices.

Compiled code of scipy, numba and torch trusts the indices of a sparse matrix: one beyond its columns reads foreign
memory or ends the process. Here they are looked at once, where a matrix enters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData

_BY_COMPRESSION = {"csr", "csc", "bsr"}
_NUMBERS = "buif"


class UnreadableMatrixError(ValueError):
    """A matrix is damaged, or holds no numbers; the message says what is wrong and what to do."""


def is_in_memory(matrix: Any) -> bool:
    """Tell whether a matrix is in memory."""
    return sparse.issparse(matrix) or isinstance(matrix, np.ndarray)


def in_memory(matrix: Any, owner: str = "the matrix") -> Any:
    """Return a matrix in memory as our code takes it: CSR if it is sparse, else a plain dense array, of native numbers.

    A sound CSR matrix or dense array of numbers that numpy, scipy and torch all know comes back as it is, without a
    copy.

    Parameters
    ----------
    matrix
        Any matrix: of numpy, scipy or dask, or a dataset of a file.
    owner
        Name of the matrix in messages.

    Raises
    ------
    UnreadableMatrixError
        If indices are damaged or there are no numbers in it.
    """
    if not is_in_memory(matrix):
        matrix = _loaded(matrix, owner)
    if sparse.issparse(matrix):
        require_sound(matrix, owner)
        _require_numbers(matrix.dtype, owner)
        if not isinstance(matrix, sparse.csr_matrix):
            matrix = sparse.csr_matrix(matrix)
        arrays = matrix.data, matrix.indices, matrix.indptr
        kinds = [_native(array.dtype) for array in arrays]
        if not any(kinds):
            return matrix
        native = [array if kind is None else array.astype(kind) for array, kind in zip(arrays, kinds, strict=True)]
        return sparse.csr_matrix(tuple(native), shape=matrix.shape)
    if isinstance(matrix, np.ma.MaskedArray):
        matrix = np.ma.filled(matrix.astype(float), np.nan) if np.ma.is_masked(matrix) else matrix.data
    matrix = matrix if type(matrix) is np.ndarray else np.asarray(matrix)
    _require_numbers(matrix.dtype, owner)
    kind = _native(matrix.dtype)
    return matrix if kind is None else matrix.astype(kind)


def require_sound(matrix: Any, owner: str = "the matrix") -> None:
    """Raise if the indices of a sparse matrix in memory are damaged; others pass.

    Raises
    ------
    UnreadableMatrixError
        Saying what is wrong.
    """
    wrong = damage(matrix)
    if wrong:
        message = f"{owner} is a damaged sparse matrix: {wrong}. Read or make it again"
        raise UnreadableMatrixError(message)


def require_sound_cells(adata: AnnData) -> None:
    """Raise if any sparse matrix of the cells is damaged, before all of them are cut to some cells.

    Raises
    ------
    UnreadableMatrixError
        Naming the matrix.
    """
    cells = adata._adata_ref if adata.is_view else adata
    require_sound(cells.X, "adata.X")
    if cells.raw is not None:
        require_sound(cells.raw.X, "adata.raw.X")
    for slot in ("layers", "obsm", "varm", "obsp", "varp"):
        for name, matrix in getattr(cells, slot).items():
            require_sound(matrix, "adata.X" if name is None else f"adata.{slot}[{name!r}]")


def damage(matrix: Any) -> str | None:
    """Say what is wrong with the indices of a sparse matrix; ``None`` for a sound one, and for what is not sparse."""
    kind = getattr(matrix, "format", None)
    if not sparse.issparse(matrix):
        return None
    if kind in _BY_COMPRESSION:
        height, width = matrix.blocksize if kind == "bsr" else (1, 1)
        n_rows, n_columns = matrix.shape[0] // height, matrix.shape[1] // width
        n_major, n_minor = (n_columns, n_rows) if kind == "csc" else (n_rows, n_columns)
        return _damage_of_compressed(matrix.indptr, matrix.indices, len(matrix.data), n_major, n_minor)
    if kind == "coo":
        for what, indices, n in (("row", matrix.row, matrix.shape[0]), ("column", matrix.col, matrix.shape[1])):
            if len(indices) != len(matrix.data):
                return f"it has {len(matrix.data)} values and {len(indices)} {what} indices"
            if wrong := _outside(indices, n):
                return wrong
    return None


def _damage_of_compressed(indptr: Any, indices: Any, n_values: int, n_major: int, n_minor: int) -> str | None:
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        return f"its indices are {indptr.dtype} and {indices.dtype}, not whole numbers"
    if indptr.ndim != 1 or indices.ndim != 1 or len(indptr) != n_major + 1:
        return f"it has {len(indptr) - 1} rows of indices, not {n_major}"
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        return "the places at which its rows begin (indptr) do not rise from 0"
    n_used = int(indptr[-1])
    if n_used > len(indices) or n_used > n_values:
        return f"its rows (indptr) end at {n_used}, beyond its {n_values} values and {len(indices)} indices"
    return _outside(indices[:n_used], n_minor)


def _outside(indices: Any, n: int) -> str | None:
    if indices.dtype.kind not in "iu":
        return f"its indices are {indices.dtype}, not whole numbers"
    if not len(indices):
        return None
    low, high = int(indices.min()), int(indices.max())
    return None if low >= 0 and high < n else f"its indices reach from {low} to {high}, outside of 0 to {n - 1}"


def _loaded(matrix: Any, owner: str) -> Any:
    """Return a matrix that lies on disk, or is still to be computed."""
    try:
        for how in ("to_memory", "compute"):
            if hasattr(matrix, how):
                return getattr(matrix, how)()
        return np.asarray(matrix)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        message = f"{owner} cannot be read: {error}. The file is damaged; fetch or write it again"
        raise UnreadableMatrixError(message) from error


def _require_numbers(dtype: np.dtype, owner: str) -> None:
    if dtype.kind not in _NUMBERS:
        message = f"{owner} holds {dtype} values, not numbers; make it numbers first, for example .astype('float32')"
        raise UnreadableMatrixError(message)


def _native(dtype: np.dtype) -> Any:
    """Return the type to convert to, ``None`` where numpy, scipy and torch all compute with the given one."""
    if dtype.kind == "b":
        return np.uint8
    if dtype == np.float16:
        return np.float32
    if dtype.kind == "f" and dtype.itemsize > np.dtype(np.float64).itemsize:
        return np.float64
    return None if dtype.isnative else dtype.newbyteorder("=")


def take_columns(matrix: Any, source: np.ndarray) -> Any:
    """Return ``matrix[:, source]`` with columns of zeros where ``source`` is -1; the matrix itself if nothing moves."""
    if len(source) == matrix.shape[1] and np.array_equal(source, np.arange(len(source))):
        return matrix
    present = np.flatnonzero(source >= 0)
    taken = matrix[:, source[present]]
    if len(present) == len(source):
        return taken
    shape = (matrix.shape[0], len(source))
    if sparse.issparse(taken):
        return sparse.csr_matrix((taken.data, present[taken.indices], taken.indptr), shape=shape)
    padded = np.zeros(shape, dtype=taken.dtype)
    padded[:, present] = taken
    return padded
