"""Shuffle cells on disk in two passes, with a bounded part of them in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: Bytes of counts of a pile, about.
_PILE_BYTES = 2**27


def shuffle_cells(
    blocks: Iterable[sparse.csr_matrix],
    positions: np.ndarray,
    n_genes: int,
    dtype: np.dtype,
    folder: Path,
    *,
    values_of_cell: float,
) -> tuple[int, Iterator[sparse.csr_matrix]]:
    """Bring cells into another order on disk.

    First every cell is dealt to the pile of its new position, then the cells of one pile after the other are put into
    order. A pile holds about 128 MB.

    Parameters
    ----------
    blocks
        Counts of all cells, some at a time.
    positions
        New position of each cell: a permutation, shape ``(n_cells,)``.
    n_genes
        Number of genes.
    dtype
        Type of the counts, which holds those of every block.
    folder
        Empty folder for the piles, which takes as many bytes as the counts.
    values_of_cell
        Stored values of a cell, on the mean of all.

    Returns
    -------
    tuple
        Number of stored values, and an iterator over the counts in their new order, a pile at a time.
    """
    piles = _Piles(folder, len(positions), values_of_cell, dtype)
    start = 0
    for block in blocks:
        piles.deal(block, positions[start : start + block.shape[0]])
        start += block.shape[0]
    return piles.n_values, piles.collect(n_genes)


class _Piles:
    """Files of cells that lie near to each other in the new order."""

    def __init__(self, folder: Path, n_cells: int, values_of_cell: float, dtype: np.dtype) -> None:
        bytes_of_cell = (dtype.itemsize + 4) * values_of_cell + 16
        self._n_each = int(np.clip(_PILE_BYTES / bytes_of_cell, 1, n_cells))
        self._folder, self._n_cells, self._dtype = folder, n_cells, dtype
        self.n_values = 0

    def deal(self, block: sparse.csr_matrix, positions: np.ndarray) -> None:
        """Append cells to their piles."""
        order = np.argsort(positions, kind="stable")
        block, positions = block[order], positions[order].astype(np.int64)
        sizes = np.diff(block.indptr).astype(np.int64)
        piles = positions // self._n_each
        starts = np.flatnonzero(np.diff(piles, prepend=-1))
        for first, last in zip(starts, [*starts[1:], len(piles)], strict=True):
            values = slice(block.indptr[first], block.indptr[last])
            for what, array in (
                ("positions", positions[first:last]),
                ("sizes", sizes[first:last]),
                ("indices", block.indices[values].astype(np.int32, copy=False)),
                ("data", block.data[values].astype(self._dtype, copy=False)),
            ):
                with self._file(what, int(piles[first])).open("ab") as file:
                    array.tofile(file)
        self.n_values += block.nnz

    def collect(self, n_genes: int) -> Iterator[sparse.csr_matrix]:
        """Read the piles, each in order, and remove them."""
        for pile in range(-(-self._n_cells // self._n_each)):
            files = {what: self._file(what, pile) for what in ("positions", "sizes", "indices", "data")}
            types: dict[str, Any] = {"positions": np.int64, "sizes": np.int64, "indices": np.int32, "data": self._dtype}
            read = {what: np.fromfile(file, types[what]) for what, file in files.items()}
            for file in files.values():
                file.unlink()
            indptr = np.concatenate([[0], np.cumsum(read["sizes"])])
            shape = (len(read["sizes"]), n_genes)
            cells = sparse.csr_matrix((read["data"], read["indices"], indptr), shape=shape)
            yield cells[np.argsort(read["positions"])]

    def _file(self, what: str, pile: int) -> Path:
        return self._folder / f"{what}-{pile}"
