"""Read training cells from disk in random order, ahead of where they are used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch
from anndata.abc import CSRDataset
from scipy import sparse
from scvi import REGISTRY_KEYS
from scvi.data import AnnTorchDataset

from scarches_plus._cells import CountsOnDisk, rows_of_csr

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from scvi.data import AnnDataManager
    from torch import Tensor

    Window = tuple[np.ndarray, sparse.csr_matrix]

#: Bytes of the cells that are shuffled together, for example 80,000 cells of 200 counts each.
WINDOW_BYTES = 2**27
#: Pieces of the file that these cells come from.
BLOCKS_OF_WINDOW = 64


class DiskCells:
    """Read the cells of a model with counts on disk and everything else in memory.

    Parameters
    ----------
    manager
        Manager of the cells; :func:`counts_on_disk` finds their counts.
    """

    def __init__(self, manager: AnnDataManager) -> None:
        found = counts_on_disk(manager)
        self._counts: CountsOnDisk = found  # type: ignore[assignment]
        others = [key for key in AnnTorchDataset(manager).keys_and_dtypes if key != REGISTRY_KEYS.X_KEY]
        self._columns = AnnTorchDataset(manager, others)[np.arange(manager.adata.n_obs)]

    def __len__(self) -> int:
        return self._counts.shape[0]

    def shuffled(self, cells: np.ndarray) -> Generator[Window]:
        """Read cells in random order: pieces of the file at random, and the cells of many pieces shuffled together.

        Parameters
        ----------
        cells
            Positions of cells.

        Yields
        ------
        tuple
            Positions of the cells of a window, and their counts. Torch's stream of random numbers decides.
        """
        n_window = max(1, int(WINDOW_BYTES / max(1.0, self._counts.bytes_of_cell)))
        cells, n_block = np.sort(cells), max(1, n_window // BLOCKS_OF_WINDOW)
        blocks = np.split(cells, np.flatnonzero(np.diff(cells // n_block)) + 1)
        order = torch.randperm(len(blocks)).numpy()
        windows = np.array_split(order, max(1, ceil(len(blocks) / BLOCKS_OF_WINDOW)))
        shuffled = (np.concatenate([blocks[one] for one in window]) for window in windows)
        return self._read_ahead(rows[torch.randperm(len(rows)).numpy()] for rows in shuffled)

    def ordered(self, cells: np.ndarray) -> Generator[Window]:
        """Read cells in their order in the file."""
        n_window = max(1, int(WINDOW_BYTES / max(1.0, self._counts.bytes_of_cell)))
        return self._read_ahead(iter(np.split(np.sort(cells), range(n_window, len(cells), n_window))))

    def endlessly(self, cells: np.ndarray) -> Generator[Window]:
        """Read cells in random order, again and again."""
        for _ in count():
            yield from self.shuffled(cells)

    def tensors(self, cells: np.ndarray, counts: sparse.csr_matrix) -> dict[str, Tensor]:
        """Return a minibatch as scvi-tools' loaders give it."""
        minibatch = {REGISTRY_KEYS.X_KEY: torch.from_numpy(counts.toarray())}
        return minibatch | {key: torch.from_numpy(values[cells]) for key, values in self._columns.items()}

    def _read_ahead(self, windows: Iterator[np.ndarray]) -> Generator[Window]:
        """Read one window while the one before it is in use."""
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead = None
            for cells in windows:
                ahead, ready = (cells, reader.submit(self._read, cells)), ahead
                if ready is not None:
                    yield ready[0], ready[1].result()
            if ahead is not None:
                yield ahead[0], ahead[1].result()

    def _read(self, cells: np.ndarray) -> sparse.csr_matrix:
        return self._counts[cells].astype(np.float32, copy=False)


def in_sizes(windows: Iterable[Window], sizes: Iterable[int]) -> Iterator[Window]:
    """Cut windows into minibatches of given sizes, across their borders; the last one may be smaller.

    Parameters
    ----------
    windows
        What :class:`DiskCells` yields.
    sizes
        Size of each minibatch; no more are cut than this has.
    """
    wanted = iter(sizes)
    size = next(wanted, 0)
    held: list[Window] = []
    n_held = 0
    for cells, counts in windows:
        start = 0
        while size and start < len(cells):
            part = slice(start, min(start + size - n_held, len(cells)))
            held.append((cells[part], rows_of_csr(counts, part)))
            n_held += part.stop - start
            start = part.stop
            if n_held == size:
                yield _joined(held)
                held, n_held, size = [], 0, next(wanted, 0)
        if not size:
            return
    if held:
        yield _joined(held)


def _joined(parts: list[Window]) -> Window:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([cells for cells, _ in parts]), sparse.vstack([one for _, one in parts], format="csr")


def counts_on_disk(manager: AnnDataManager) -> CountsOnDisk | None:
    """Return the counts of cells if they lie on disk by rows."""
    counts: Any = manager.get_from_registry(REGISTRY_KEYS.X_KEY)
    if isinstance(counts, CountsOnDisk):
        return counts
    return CountsOnDisk(counts) if isinstance(counts, CSRDataset | h5py.Dataset) else None
