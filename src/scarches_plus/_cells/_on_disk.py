"""Read counts that stay on disk, on chosen cells and genes, and let anndata write them part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import zarr
from anndata._core.sparse_dataset import BaseCompressedSparseDataset
from anndata._io.specs.registry import _REGISTRY, IOSpec
from anndata.abc import CSRDataset
from anndata.io import sparse_dataset
from scipy import sparse

from ._matrices import UnreadableMatrixError, in_memory, take_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes that are read at once, and of those between rows that are asked for, which are read along.
_PIECE, _READ_BETWEEN = 2**26, 2**18


class CountsOnDisk(CSRDataset):
    """Counts of a file on chosen cells and genes, read by rows when they are asked for.

    AnnData and scvi-tools take it for a sparse matrix on disk, whatever lies there.

    Parameters
    ----------
    stored
        Dataset of an HDF5 or zarr file, sparse by rows or dense, or what is read like one, shape
        ``(n_stored_cells, n_stored_genes)``.
    rows
        Rows of ``stored`` to show, in this order; ``None`` means all.
    columns
        For each gene its column of ``stored``, -1 for one that is 0 in every cell; ``None`` means all.
    """

    def __init__(self, stored: Any, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> None:
        if columns is not None and np.array_equal(columns, np.arange(stored.shape[1])):
            columns = None
        self._stored, self._rows, self._columns = stored, rows, columns
        self.dtype = np.dtype(stored.dtype)
        self.shape = (
            stored.shape[0] if rows is None else len(rows),
            stored.shape[1] if columns is None else len(columns),
        )

    def __getitem__(self, index: Any) -> sparse.csr_matrix:
        """Read cells into memory, in the order in which they are asked for."""
        index, genes = index if isinstance(index, tuple) else (index, slice(None))
        if isinstance(index, slice) and index.step in {None, 1} and self._rows is None:
            read = self._read(slice(*index.indices(self.shape[0])))
        else:
            read = self._read_rows(self._places(index))
        return read if isinstance(genes, slice) and genes == slice(None) else read[:, genes]

    @property
    def backend(self) -> str:  # type: ignore[override]
        """Kind of file."""
        return str(getattr(self._stored, "backend", type(self._stored).__module__.partition(".")[0]))

    @property
    def bytes_of_cell(self) -> float:
        """Mean size of a cell in memory."""
        stored = self._stored
        if hasattr(stored, "bytes_of_cell"):
            return float(stored.bytes_of_cell)
        if sparse.issparse(stored) or hasattr(stored, "group"):
            n_values = stored.nnz if sparse.issparse(stored) else stored.group["data"].shape[0]
            return (self.dtype.itemsize + 4) * n_values / max(1, stored.shape[0])
        return self.dtype.itemsize * stored.shape[1]

    def on_genes(self, columns: np.ndarray) -> CountsOnDisk:
        """Return the same cells on other genes: for each its column here, -1 for one that is not here."""
        if self._columns is not None:
            columns = np.where(columns < 0, -1, self._columns[columns])
        return CountsOnDisk(self._stored, self._rows, columns)

    def on_cells(self, rows: np.ndarray) -> CountsOnDisk:
        """Return some of the cells."""
        return CountsOnDisk(self._stored, rows if self._rows is None else self._rows[rows], self._columns)

    def to_memory(self) -> sparse.csr_matrix:
        """Read all cells into memory."""
        return self[np.arange(self.shape[0])]  # in pieces

    def copy(self) -> CountsOnDisk:
        """Return itself: it is only read."""
        return self

    def _places(self, index: Any) -> np.ndarray:
        """Return rows of the stored matrix."""
        rows = np.arange(self.shape[0])[index if isinstance(index, slice) else np.asarray(index)]
        rows = np.atleast_1d(rows)
        return rows if self._rows is None else self._rows[rows]

    def _read_rows(self, rows: np.ndarray) -> sparse.csr_matrix:
        """Read rows in few contiguous pieces."""
        if not len(rows):
            return sparse.csr_matrix((0, self.shape[1]), dtype=self.dtype)
        wanted, order = np.unique(rows, return_inverse=True)
        between, longest = (max(1, int(size / max(1.0, self.bytes_of_cell))) for size in (_READ_BETWEEN, _PIECE))
        breaks = (np.diff(wanted) > between) | (np.diff(wanted // longest) > 0)
        pieces = np.split(wanted, np.flatnonzero(breaks) + 1)
        read = []
        for piece in pieces:
            block = self._read(slice(int(piece[0]), int(piece[-1]) + 1))
            read.append(block if block.shape[0] == len(piece) else block[piece - piece[0]])
        whole = read[0] if len(read) == 1 else sparse.vstack(read, format="csr")
        return whole if np.array_equal(order, np.arange(len(wanted))) else whole[order]

    def _read(self, rows: slice) -> sparse.csr_matrix:
        block = sparse.csr_matrix(read_rows(self._stored, rows))
        return block if self._columns is None else take_columns(block, self._columns)


# AnnData takes matrices of its own types only, and this one is read as its own on disk are
BaseCompressedSparseDataset.register(CountsOnDisk)


def _write_parts(
    group: h5py.Group | zarr.Group,
    name: str,
    counts: CountsOnDisk,
    *,
    _writer: Any,
    dataset_kwargs: Mapping[str, Any],
) -> None:
    step = max(1, int(_PIECE / max(1.0, counts.bytes_of_cell)))
    first = counts[:step]
    first.indptr = first.indptr.astype(np.int64)  # which has to hold the values that follow
    _writer.write_elem(group, name, first, dataset_kwargs=dataset_kwargs)
    written = sparse_dataset(group[name])
    for start in range(step, counts.shape[0], step):
        written.append(counts[start : start + step])


for _kind in (h5py.Group, zarr.Group):
    _REGISTRY.register_write(_kind, CountsOnDisk, IOSpec("csr_matrix", "0.1.0"))(_write_parts)


def read_rows(stored: Any, rows: slice) -> Any:
    """Read consecutive rows of a matrix that is not in memory.

    Raises
    ------
    UnreadableMatrixError
        If they cannot be read.
    """
    try:
        read = stored[rows]
    except UnreadableMatrixError:
        raise
    except (ValueError, IndexError, TypeError, OverflowError, MemoryError, RuntimeError) as error:
        message = f"counts cannot be read: {error}. The file is damaged; fetch or write it again"
        raise UnreadableMatrixError(message) from error
    return in_memory(read, "the matrix of counts")
