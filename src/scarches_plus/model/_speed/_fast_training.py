"""Train condition columns in Adam strides on a condensed module, without lightning."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from inspect import Parameter, signature
from itertools import repeat
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS, settings
from scvi.data import AnnTorchDataset
from scvi.model._utils import get_max_epochs_heuristic
from scvi.train._trainingplans import _compute_kl_weight

from scarches_plus._progress import with_progress
from scarches_plus.model._training._defaults import n_training_cells
from scarches_plus.model._training._interrupt import TrainingInterrupted
from scarches_plus.train import AdamStrides, PenaltySum, Step, caught, over_minibatches, stride_lengths

from ._condensed import Condensed, obstacle_to_condensing
from ._disk_cells import DiskCells, counts_on_disk, in_sizes
from ._threads import threads_for_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scvi.module.base import LossOutput
    from torch import Tensor

    from ._condensed import ConditionedLinear

#: How far a stride may move a parameter, about: LONGEST_STRIDE steps at the ordinary learning rate of 1e-3.
LARGEST_MOVE = 0.02
#: Strides to take at least.
FEWEST_STRIDES = 48
#: Minibatches that the gradient of a stride is estimated from, and more if these are few cells.
MINIBATCHES_PER_STRIDE = 3
CELLS_PER_STRIDE = 384
#: Most steps of the ordinary training in a stride.
LONGEST_STRIDE = 20
#: Bytes of counts on disk, as they are stored, that are taken into memory.
MAX_STORED_BYTES = 2**30
#: Values of cells that are dense at a time while what never changes is derived from them.
_DENSE_VALUES = 2**21
_PLAN_ARGUMENTS = {
    *("lr", "weight_decay", "eps", "n_epochs_kl_warmup", "n_steps_kl_warmup", "min_kl_weight", "max_kl_weight"),
    *("classification_ratio", "module_mode", "freeze_norms", "entries", "penalties", "setting"),
}
_TRAIN_ARGUMENTS = {
    *("max_epochs", "batch_size", "enable_progress_bar", "accelerator", "log_every_n_steps", "gradient_clip_val"),
}


def obstacle_to_fast_training(model: Any, plan_kwargs: Mapping[str, Any], kwargs: Mapping[str, Any]) -> str | None:
    """Say why :func:`train_fast` would not do what scvi-tools' ``train`` does; ``None`` if it would."""
    surgery = model.surgery
    if surgery is None:
        return "the model is no query model, so all of it trains"
    if surgery.strategy != "condition":
        return f"strategy {surgery.strategy!r} trains more than condition columns"
    if plan_kwargs["module_mode"] != "eval":
        return f"module_mode={plan_kwargs['module_mode']!r} lets dropout take part"
    for penalty in plan_kwargs.get("penalties", ()):
        if not penalty.latent_only:
            return f"penalty {penalty.name!r} reads more than the latent space"
    for name, given, known in (
        ("plan_kwargs", plan_kwargs, _PLAN_ARGUMENTS & set(_defaults(model._training_plan_cls))),
        ("train", {key: value for key, value in kwargs.items() if value is not None}, _TRAIN_ARGUMENTS),
    ):
        others = sorted(set(given) - known)
        if others:
            return f"it does not know {', '.join(others)} of {name}"
    device = model.device.type
    if kwargs.get("accelerator") not in {None, "auto", device, "gpu" if device in {"cuda", "mps"} else device}:
        return f"the model is on device {device!r}, not {kwargs['accelerator']!r}"
    if model.adata is None:
        return "the model has no cells"
    return obstacle_to_condensing(model.module, plan_kwargs["entries"])


def train_fast(
    model: Any,
    plan_kwargs: Mapping[str, Any],
    *,
    max_epochs: int | None = None,
    batch_size: int | None = None,
    enable_progress_bar: bool = True,
    gradient_clip_val: float | None = None,
    longest_stride: int | None = None,
    **_: Any,
) -> None:
    """Train a query model's condition columns along the path of the ordinary training, in strides.

    A stride estimates the moments of the ordinary minibatch gradient from a few of them and takes many steps at
    once. All cells take part; the ordinary training holds a tenth of them back. The model's history has the keys of
    scvi-tools' training but for scANVI's scores of classification; there is no trainer. Penalties are means over
    minibatches of the ordinary size.

    Parameters
    ----------
    model
        Query model; its columns are written back also if the training is interrupted.
    plan_kwargs
        Arguments of the training plan.
    max_epochs, batch_size, enable_progress_bar, gradient_clip_val
        Of the ordinary training.
    longest_stride
        Most steps of the ordinary training to take at once; 1 takes them one by one. ``None`` means so many that no
        parameter moves by more than about 0.02.
    """
    plan = {**_defaults(model._training_plan_cls), **plan_kwargs}
    n_cells = model.adata.n_obs
    labelled = np.asarray(getattr(model, "_labeled_indices", ()), dtype=int)
    batch_size = batch_size or settings.batch_size
    steps_per_epoch = ceil(n_training_cells(n_cells, batch_size) / batch_size)
    max_epochs = _epochs(model) if max_epochs is None else max_epochs
    if longest_stride is None:
        longest_stride = max(1, round(min(LONGEST_STRIDE, LARGEST_MOVE / max(plan["lr"], 1e-9))))
    strides = stride_lengths(max_epochs * steps_per_epoch, longest_stride, FEWEST_STRIDES)
    largest = max(CELLS_PER_STRIDE, MINIBATCHES_PER_STRIDE * batch_size)
    sizes = [min(largest, length * batch_size) for length in strides]

    penalties = PenaltySum(plan["penalties"], plan["setting"]).to(model.device)

    with threads_for_chunks() as workers:
        model.module.eval()
        condensed = Condensed(model.module, plan["entries"], workers)
        layers = list(condensed.layers.values())
        adam = AdamStrides(
            [layer.columns for layer in layers], lr=plan["lr"], eps=plan["eps"], weight_decay=plan["weight_decay"]
        )
        cells = _Cells(model.adata_manager, condensed, n_visits=sum(sizes) + len(labelled), device=model.device)
        labelled_draws = cells.draws(labelled, sizes) if len(labelled) else repeat(None, len(sizes))
        draws = zip(strides, cells.draws(np.arange(n_cells), sizes), labelled_draws, strict=True)
        records: dict[str, list[float]] = defaultdict(list)
        try:
            for length, drawn, labelled_cells in with_progress(
                draws, "Training", total=len(strides), shown=enable_progress_bar
            ):
                middle = adam.n_steps + length // 2
                epoch = middle // steps_per_epoch
                loss_kwargs: dict[str, Any] = {"kl_weight": _kl_weight(plan, epoch, middle)}
                if labelled_cells is not None:
                    loss_kwargs["labelled"], loss_kwargs["labelled_projected"], _ = labelled_cells
                    loss_kwargs["classification_ratio"] = plan["classification_ratio"]
                with caught(condensed.network, penalties.layers) as activations:
                    inference, output = condensed.loss(*drawn, **loss_kwargs)
                if len(penalties):
                    step = Step(drawn[0], inference, {}, activations, condensed.network, epoch)
                    output.loss = output.loss + over_minibatches(penalties, step, batch_size)
                    for name, value in step.metrics.items():
                        records[f"{name}_train"].append(float(value.detach()))
                adam.stride(*clipped(*minibatch_moments(output.loss, layers, batch_size), gradient_clip_val), length)
                for name, value in _record(output, loss_kwargs["kl_weight"], len(drawn[1])).items():
                    records[name].append(value)
                records["epoch"].append((adam.n_steps - 1) // steps_per_epoch)
        except KeyboardInterrupt as stop:
            raise TrainingInterrupted(model, trained=bool(records) or model.is_trained_) from stop
        finally:
            condensed.write_back()
            if records:
                _extend_history(model, records)
                _end(model)


def _end(model: Any) -> None:
    """Finish a training as scvi-tools does."""
    model.trainer = None
    model.train_indices = np.arange(model.adata.n_obs)
    model.validation_indices, model.test_indices = [np.array([], int)] * 2
    model.is_trained_ = True


def minibatch_moments(
    loss: Tensor, layers: Sequence[ConditionedLinear], batch_size: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the moments of the gradient of a minibatch's loss, estimated from a larger one.

    The gradient of a condition column is a sum over the cells that have the condition, so that its spread over cells
    gives its spread over minibatches.

    Parameters
    ----------
    loss
        Loss of cells, a mean over them.
    layers
        Layers with condition columns, after the forward pass that gave ``loss``. Their records of it are cleared.
    batch_size
        Cells of a minibatch.

    Returns
    -------
    tuple
        For each layer, the gradient of its columns, and by how much the mean square of a minibatch's gradient exceeds
        the square of this one.
    """
    calls = [(position, call) for position, layer in enumerate(layers) for call in layer.calls]
    slopes = torch.autograd.grad(loss, [call.contribution for _, call in calls])
    gradients = [torch.zeros_like(layer.columns) for layer in layers]
    variances = [torch.zeros_like(layer.columns) for layer in layers]
    for (position, call), slope in zip(calls, slopes, strict=True):
        n_cells = len(slope)
        gradient = slope.t() @ call.conditions
        mean_square = n_cells * (slope.square().t() @ call.conditions.square())
        excess = max(0.0, 1 / batch_size - 1 / n_cells)
        gradients[position] += gradient
        variances[position] += excess * (mean_square - gradient.square())
    for layer in layers:
        layer.calls.clear()
    return gradients, variances


def clipped(
    gradients: list[Tensor], variances: list[Tensor], largest_norm: float | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the moments of a minibatch's gradient that is scaled down to a norm where it is longer.

    The squared norm of a minibatch's gradient is taken for its expectation, which it is near to where many numbers
    train.

    Parameters
    ----------
    gradients, variances
        What :func:`minibatch_moments` returns.
    largest_norm
        Largest norm over all parameters; ``None`` or 0 for no limit, as in lightning.
    """
    if not largest_norm:
        return gradients, variances
    square = sum((gradient.square() + variance).sum() for gradient, variance in zip(gradients, variances, strict=True))
    scale = (largest_norm / (torch.as_tensor(square).sqrt() + 1e-6)).clamp(max=1.0)
    return [gradient * scale for gradient in gradients], [variance * scale.square() for variance in variances]


def _defaults(plan: type) -> dict[str, Any]:
    """Return the defaults of a training plan's arguments, those of its bases included."""
    return {
        name: parameter.default
        for base in reversed(plan.__mro__)
        if "__init__" in vars(base)
        for name, parameter in signature(base).parameters.items()
        if parameter.default is not Parameter.empty
    }


def _epochs(model: Any) -> int:
    """Return how many epochs scvi-tools trains if it is not told."""
    epochs = int(get_max_epochs_heuristic(model.adata.n_obs))
    return min(10, max(2, round(epochs / 3))) if getattr(model, "was_pretrained", False) else epochs


def _draws(indices: np.ndarray, sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield so many random indices at a time, from one shuffling of all until too few of it are left."""
    order = np.empty(0, dtype=int)
    for size in sizes:
        wanted = min(size, len(indices))
        if len(order) < wanted:
            order = indices[torch.randperm(len(indices)).numpy()]
        yield np.sort(order[:wanted])
        order = order[wanted:]


def _kl_weight(plan: Mapping[str, Any], epoch: int, step: int) -> float:
    names = ("n_epochs_kl_warmup", "n_steps_kl_warmup", "max_kl_weight", "min_kl_weight")
    return float(_compute_kl_weight(epoch, step, *(plan[name] for name in names)))


def _record(output: LossOutput, kl_weight: float, n_cells: int) -> dict[str, float]:
    """Return a row of the history, under the names of scvi-tools."""
    reconstruction, kl_local = (
        float(total.detach()) / n_cells for total in (output.reconstruction_loss_sum, output.kl_local_sum)
    )
    return {
        "kl_weight": kl_weight,
        "train_loss": float(output.loss.detach()),
        "elbo_train": reconstruction + kl_local,
        "reconstruction_loss_train": reconstruction,
        "kl_local_train": kl_local,
        "kl_global_train": 0.0,
    }


def _extend_history(model: Any, records: Mapping[str, Sequence[float]]) -> None:
    """Add a row for every epoch; a stride that is longer than an epoch gives all of its epochs the same."""
    table = pd.DataFrame(records).groupby("epoch").mean()
    table = table.reindex(pd.RangeIndex(int(table.index[-1]) + 1, name="epoch")).bfill()
    before = model.history_ if model.is_trained_ and isinstance(model.history_, dict) else {}  # else the reference's
    table.index += len(before.get("elbo_train", ()))
    history = {str(name): table[[name]] for name in table}
    for name in set(history) & set(before):
        history[name] = pd.concat([before[name], history[name]])
    model.history_ = {**before, **history}


class _Cells:
    """Cells of a model, with the projections and constants that training does not change.

    Counts on disk are taken into memory if they are few, as they are stored.
    """

    def __init__(self, manager: Any, condensed: Condensed, *, n_visits: int, device: torch.device) -> None:
        self._data = AnnTorchDataset(manager, load_sparse_tensor=False)
        self._condensed, self._device = condensed, device
        self._kept: tuple[Tensor, Tensor] | None = None
        self._on_disk: DiskCells | None = None
        n_cells = len(self._data)
        counts = counts_on_disk(manager)
        if counts is not None and n_cells * counts.bytes_of_cell <= MAX_STORED_BYTES:
            self._data.data[REGISTRY_KEYS.X_KEY] = counts.to_memory()
        elif counts is not None:
            self._on_disk = DiskCells(manager)
        if n_visits > n_cells:
            n_chunks = ceil(n_cells * self._data[[0]][REGISTRY_KEYS.X_KEY].size / _DENSE_VALUES)
            chunks = np.array_split(np.arange(n_cells), min(n_cells, n_chunks))
            projected, constants = zip(*(self._derive(self._read(rows)) for rows in chunks), strict=True)
            self._kept = torch.cat(projected), torch.cat(constants)

    def draws(self, indices: np.ndarray, sizes: Sequence[int]) -> Iterator[tuple[dict[str, Tensor], Tensor, Tensor]]:
        """Yield random cells, so many at a time: tensors as loaders give them, and what never changes of them."""
        if self._on_disk is None:
            yield from (self._with_constants(self._read(rows), rows) for rows in _draws(indices, sizes))
            return
        wanted = [min(size, len(indices)) for size in sizes]
        with closing(self._on_disk.endlessly(indices)) as windows:
            for rows, counts in in_sizes(windows, wanted):
                yield self._with_constants(self._on_device(self._on_disk.tensors(rows, counts)), rows)

    def _with_constants(self, cells: dict[str, Tensor], rows: np.ndarray) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        projected, constants = self._derive(cells) if self._kept is None else (kept[rows] for kept in self._kept)
        return cells, projected, constants

    def _read(self, rows: np.ndarray) -> dict[str, Tensor]:
        return self._on_device(self._data[rows])

    def _on_device(self, values: Mapping[str, Any]) -> dict[str, Tensor]:
        return {key: torch.as_tensor(value, device=self._device) for key, value in values.items()}

    def _derive(self, cells: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self._condensed.project(cells[REGISTRY_KEYS.X_KEY]), self._condensed.constant(cells)
