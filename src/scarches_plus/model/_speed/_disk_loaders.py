"""Load minibatches of cells whose counts lie on disk."""

from __future__ import annotations

from contextlib import closing
from itertools import chain, islice, repeat
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from scvi.dataloaders import SemiSupervisedDataLoader

from ._disk_cells import in_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scvi.data import AnnDataManager
    from torch import Tensor

    from ._disk_cells import DiskCells


class DiskLoader:
    """Minibatches of some cells, every cell once.

    Parameters
    ----------
    cells
        Cells on disk.
    indices
        Positions of those to load.
    batch_size
        Cells of a minibatch.
    shuffle
        Whether in random order; otherwise in that of the file.
    drop_last
        Leave out a last minibatch that is smaller.
    pin_memory
        Whether tensors lie where a GPU fetches them fast.
    """

    def __init__(
        self,
        cells: DiskCells,
        indices: Sequence[int] | np.ndarray,
        *,
        batch_size: int = 128,
        shuffle: bool = False,
        drop_last: bool = False,
        pin_memory: bool = False,
    ) -> None:
        self.indices = np.asarray(indices, dtype=np.int64)
        self._cells, self._batch_size, self._shuffle = cells, batch_size, shuffle
        self._drop_last, self._pin_memory = drop_last, pin_memory

    def __len__(self) -> int:
        n_batches = len(self.indices) / self._batch_size
        return int(n_batches) if self._drop_last else ceil(n_batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        read = self._cells.shuffled if self._shuffle else self._cells.ordered
        with closing(read(self.indices)) as windows:
            for cells, counts in islice(in_sizes(windows, repeat(self._batch_size)), len(self)):
                tensors = self._cells.tensors(cells, counts)
                yield {key: value.pin_memory() for key, value in tensors.items()} if self._pin_memory else tensors


class SemiSupervisedDiskLoader(SemiSupervisedDataLoader):
    """:class:`scvi.dataloaders.SemiSupervisedDataLoader` of cells whose counts lie on disk.

    Parameters
    ----------
    manager
        Manager of the cells.
    cells
        These cells on disk.
    indices, n_samples_per_label, **options
        As in scvi-tools.

    Raises
    ------
    ValueError
        If the labelled cells are less than a minibatch, and ``drop_last`` leaves them out.
    """

    dataloaders: list[Any]

    def __init__(
        self,
        manager: AnnDataManager,
        cells: DiskCells,
        indices: np.ndarray,
        n_samples_per_label: int | None = None,
        **options: Any,
    ) -> None:
        self._cells, self._options = cells, options
        super().__init__(manager, n_samples_per_label, indices, batch_size=options["batch_size"])
        everything, labelled = (one.indices for one in self.dataloaders)
        self.dataloaders = [DiskLoader(cells, everything, **options), self._labelled(labelled)]
        self.largest_dl = self.dataloaders[0]

    def resample_labels(self) -> None:
        """Draw labelled cells anew."""
        self.dataloaders[1] = self._labelled(self.subsample_labels())

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], ...]]:
        everything, labelled = self.dataloaders
        if not len(labelled):
            return iter(())
        # not itertools.cycle, which keeps what it has seen
        return zip(everything, chain.from_iterable(repeat(labelled)), strict=False)

    def _labelled(self, indices: np.ndarray) -> DiskLoader:
        loader = DiskLoader(self._cells, indices, **self._options)
        if len(indices) and not len(loader):
            message = (
                f"{len(indices)} labelled cells are less than a minibatch, which drop_last leaves out: train without "
                f"drop_last, or with batch_size={len(indices)} or less"
            )
            raise ValueError(message)
        return loader
