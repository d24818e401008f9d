"""Keep training cells as dense tensors in memory, where they fit, and read others from disk in random order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from scvi import dataloaders, settings
from scvi.data import AnnTorchDataset
from torch.utils.data import Dataset

from scarches_plus._cells import CountsOnDisk

from ._disk_cells import DiskCells, counts_on_disk
from ._disk_loaders import DiskLoader, SemiSupervisedDiskLoader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scvi.data import AnnDataManager
    from torch import Tensor

#: Bytes that dense training cells may take, for example 130,000 cells x 2,000 genes.
MAX_DENSE_BYTES = 2**30


#: Values of cells from which something is derived at a time.
_CHUNK_VALUES = 2**21


class _DenseCells:
    """The tensors that scvi-tools makes of all cells, made once and kept until :meth:`forget`."""

    def __init__(self, manager: AnnDataManager) -> None:
        self._dataset = AnnTorchDataset(manager)
        self._tensors: dict[str, Tensor] | None = None
        self._derivations: dict[str, Callable[[dict[str, Tensor]], Tensor | None]] = {}
        self.device = torch.device("cpu")

    def __getitem__(self, cells: np.ndarray) -> dict[str, Tensor]:
        if self._tensors is None:
            everything = self._dataset[np.arange(len(self._dataset))]
            self._tensors = {key: torch.from_numpy(value).to(self.device) for key, value in everything.items()}
        while self._derivations:
            self._derive(*self._derivations.popitem())
        index = torch.from_numpy(cells).to(self.device)
        return {key: value.index_select(0, index) for key, value in self._tensors.items()}

    def derive(self, name: str, function: Callable[[dict[str, Tensor]], Tensor | None]) -> None:
        """Add to the tensors what a function makes of them, a few cells at a time, if it makes something."""
        self._derivations[name] = function

    def forget(self) -> None:
        """Free the memory; the next cells asked for fill it again."""
        self._tensors = None
        self._derivations.clear()

    def _derive(self, name: str, function: Callable[[dict[str, Tensor]], Tensor | None]) -> None:
        tensors: dict[str, Tensor] = self._tensors  # type: ignore[assignment]
        n_values = sum(value[0].numel() for value in tensors.values())
        chunks = torch.arange(len(self._dataset), device=self.device).split(max(1, _CHUNK_VALUES // n_values))
        parts = [function({key: value[rows] for key, value in tensors.items()}) for rows in chunks]
        if all(part is not None for part in parts):
            tensors[name] = torch.cat(parts)  # type: ignore[arg-type]


class _DenseSubset(Dataset):
    def __init__(self, cells: _DenseCells, indices: Sequence[int]) -> None:
        self._cells, self._indices = cells, np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, rows: list[int]) -> dict[str, Tensor]:
        return self._cells[self._indices[rows]]


class _DenseManager:
    """An AnnDataManager whose data sets are cut out of :class:`_DenseCells`; everything else is the manager's."""

    def __init__(self, manager: AnnDataManager) -> None:
        self._manager = manager
        self.cells = _DenseCells(manager)

    def derive(self, name: str, function: Callable[[dict[str, Tensor]], Tensor | None]) -> None:
        """Add to minibatches what a function makes of their cells."""
        self.cells.derive(name, function)

    def create_torch_dataset(self, indices: Sequence[int], *args: Any, **kwargs: Any) -> Dataset:
        """Create what an AnnDataLoader draws minibatches from."""
        if any(args) or any(kwargs.values()):  # some tensors only, or sparse ones
            return self._manager.create_torch_dataset(indices, *args, **kwargs)
        return _DenseSubset(self.cells, indices)

    def __getattr__(self, name: str) -> Any:
        if name == "_manager":  # asked before __init__ ran, by copy or pickle
            raise AttributeError(name)
        return getattr(self._manager, name)


class _LoadingMixin:
    """Lets the loaders of a data splitter cut minibatches out of dense tensors; which cells they draw does not change.

    scvi-tools cuts each minibatch out of a sparse matrix and makes it dense, every epoch again. That stays so for cells
    in memory of more than :data:`MAX_DENSE_BYTES`, and where several processes load or train. The tensors live on the
    device that trains, and go when training ends. More cells than that on disk are read in windows
    (:class:`DiskCells`): scvi-tools would look for every single one.
    """

    def __init__(self, adata_manager: AnnDataManager, *args: Any, **kwargs: Any) -> None:
        one_process = not (kwargs.get("distributed_sampler") or kwargs.get("num_workers", settings.dl_num_workers))
        self._on_disk: DiskCells | None = None
        if one_process and _fits(adata_manager):
            adata_manager = _DenseManager(adata_manager)
        elif one_process and not kwargs.get("load_sparse_tensor") and counts_on_disk(adata_manager) is not None:
            self._on_disk = DiskCells(adata_manager)
        super().__init__(adata_manager, *args, **kwargs)  # type: ignore[call-arg]

    def train_dataloader(self) -> Any:
        """Create the loader of training cells."""
        return self._loader(super().train_dataloader, self.train_idx, shuffle=True)  # type: ignore[misc, attr-defined]

    def val_dataloader(self) -> Any:
        """Create the loader of validation cells."""
        return self._loader(super().val_dataloader, self.val_idx, shuffle=False)  # type: ignore[misc, attr-defined]

    def test_dataloader(self) -> Any:
        """Create the loader of test cells."""
        return self._loader(super().test_dataloader, self.test_idx, shuffle=False)  # type: ignore[misc, attr-defined]

    def _loader(self, otherwise: Callable[[], Any], cells: np.ndarray, *, shuffle: bool) -> Any:
        if self._on_disk is None or not len(cells):
            return otherwise()
        options = {
            "batch_size": self.data_loader_kwargs.get("batch_size") or settings.batch_size,  # type: ignore[attr-defined]
            "shuffle": shuffle,
            "drop_last": bool(self.drop_last and shuffle),  # type: ignore[attr-defined]
            "pin_memory": self.pin_memory,  # type: ignore[attr-defined]
        }
        if not len(getattr(self, "_labeled_indices", ())):
            return DiskLoader(self._on_disk, cells, **options)
        per_label = self.n_samples_per_label  # type: ignore[attr-defined]
        return SemiSupervisedDiskLoader(self.adata_manager, self._on_disk, cells, per_label, **options)  # type: ignore[attr-defined]

    def setup(self, stage: str | None = None) -> None:
        """Split the cells."""
        super().setup(stage)  # type: ignore[misc]
        if isinstance(self.adata_manager, _DenseManager) and self.trainer is not None and not self.pin_memory:  # type: ignore[attr-defined]
            self.adata_manager.cells.device = self.trainer.strategy.root_device  # type: ignore[attr-defined]

    def teardown(self, stage: str) -> None:
        """Free the memory."""
        super().teardown(stage)  # type: ignore[misc]
        if isinstance(self.adata_manager, _DenseManager):  # type: ignore[attr-defined]
            self.adata_manager.cells.forget()  # type: ignore[attr-defined]


class DataSplitter(_LoadingMixin, dataloaders.DataSplitter):
    """:class:`scvi.dataloaders.DataSplitter` that keeps cells dense in memory where they fit, and else on disk."""


class SemiSupervisedDataSplitter(_LoadingMixin, dataloaders.SemiSupervisedDataSplitter):
    """:class:`scvi.dataloaders.SemiSupervisedDataSplitter` that keeps cells dense in memory where they fit.

    Others it leaves on disk.
    """


def _fits(manager: AnnDataManager) -> bool:
    data = list(AnnTorchDataset(manager).data.values())
    known = np.ndarray, CountsOnDisk
    readable = all(isinstance(value, known) or sparse.issparse(value) or hasattr(value, "iloc") for value in data)
    return readable and sum(4 * int(np.prod(value.shape)) for value in data) <= MAX_DENSE_BYTES
