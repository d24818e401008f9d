"""Train on minibatches as lightning does, without what only lightning needs."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from lightning.fabric.utilities import move_data_to_device
from scvi.train._callbacks import SubSampleLabels

from scarches_plus._progress import with_progress
from scarches_plus.train import SemiSupervisedTrainingPlan, TrainingPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

#: Plans whose hooks the loop calls.
_PLANS = (TrainingPlan, SemiSupervisedTrainingPlan)
#: Arguments of ``train`` that the loop, or what prepares it, keeps to.
_TRAIN_ARGUMENTS = {
    *("max_epochs", "batch_size", "enable_progress_bar", "accelerator", "log_every_n_steps", "callbacks"),
    *("train_size", "validation_size", "shuffle_set_split", "datasplitter_kwargs", "n_samples_per_label"),
    *("gradient_clip_val", "gradient_clip_algorithm"),
}
#: Arguments of the plans that lightning acts on.
_OF_LIGHTNING = ("reduce_lr_on_plateau", "compile", "on_step")


class MinibatchLoop:
    """Stands for lightning's trainer where a training is minibatches, an optimiser and a history.

    It takes the steps that lightning takes, on the same minibatches and with the same random numbers, so that weights
    and history are the same. The training plan does not know the difference: the loop has the attributes of a trainer
    that plans and loaders read, and calls their hooks.

    Parameters
    ----------
    max_epochs, callbacks, enable_progress_bar, log_every_n_steps, gradient_clip_val, gradient_clip_algorithm
        As in :class:`lightning.pytorch.Trainer`.
    **_
        Arguments of no effect; :func:`obstacle_to_loop` finds others.
    """

    early_stopping_callback = None
    is_global_zero = True
    world_size = 1
    scaler = None

    def __init__(
        self,
        *,
        max_epochs: int,
        callbacks: Sequence[Any] = (),
        enable_progress_bar: bool = True,
        log_every_n_steps: int = 10,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
        **_: Any,
    ) -> None:
        self.max_epochs, self.callbacks = max_epochs, list(callbacks)
        self.log_every_n_steps = log_every_n_steps
        self._shows_progress = enable_progress_bar
        self._clip, self._clip_algorithm = gradient_clip_val, gradient_clip_algorithm
        self.current_epoch = self.global_step = 0
        self.is_last_batch = False
        self.logger = _Record()
        self.optimizers: list[torch.optim.Optimizer] = []
        self.datamodule: Any = None
        self.train_dataloader: Any = None
        self.use_device(torch.device("cpu"))

    def use_device(self, device: torch.device) -> None:
        """Set the device that trains."""
        self.strategy = SimpleNamespace(root_device=device)

    def record(self, name: str, value: Any, *, on_step: bool) -> None:
        """Keep a value for the history: the last one of the epoch, and of those of single steps every so many."""
        every = self.log_every_n_steps
        if not on_step or (every and (self.global_step + 1) % every == 0):
            self.logger.values.setdefault(name, {})[self.current_epoch] = float(value)

    def fit(self, plan: Any, data: Any, **_: Any) -> None:
        """Train.

        Parameters
        ----------
        plan
            Training plan of this package.
        data
            Data splitter.
        """
        device = self.strategy.root_device
        self.datamodule, data.trainer, plan.trainer = data, self, self
        plan.to(device)
        data.setup("fit")
        try:
            self.train_dataloader = data.train_dataloader()
            optimizer = plan.configure_optimizers()["optimizer"]
            self.optimizers = [optimizer]
            plan.on_train_start()
            epochs = with_progress(range(self.max_epochs), "Training", shown=self._shows_progress)
            for self.current_epoch in epochs:
                self._epoch(plan, optimizer, device)
            self.current_epoch = self.max_epochs  # as lightning counts
            plan.on_train_end()
        finally:
            data.teardown("fit")

    def _epoch(self, plan: Any, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        # lightning opens the loader of the first epoch before callbacks, which draw labelled cells, see it
        minibatches = iter(self.train_dataloader) if self.current_epoch == 0 else None
        for callback in self.callbacks:
            callback.on_train_epoch_start(self, plan)
        plan.on_train_epoch_start()
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        n_batches = len(self.train_dataloader)  # scvi-tools' pairs of loaders do not end by themselves
        for position, loaded in enumerate(islice(minibatches or iter(self.train_dataloader), n_batches)):
            self.is_last_batch = position + 1 == n_batches
            minibatch = loaded if device.type == "cpu" else move_data_to_device(loaded, device)
            loss = plan.training_step(minibatch, position)
            for parameter in parameters:
                parameter.grad = None
            loss.backward()
            plan.on_before_optimizer_step(optimizer)
            self._clip_gradients(parameters)
            optimizer.step()
            self.global_step += 1
            plan.on_train_batch_end(None, minibatch, position)
        plan.on_train_epoch_end()

    def _clip_gradients(self, parameters: list[Tensor]) -> None:
        if not self._clip:
            return
        if self._clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(parameters, self._clip)
        else:
            torch.nn.utils.clip_grad_norm_(parameters, self._clip)


class _Record:
    """Holds what a training logs, epoch by epoch; stands for scvi-tools' logger."""

    def __init__(self) -> None:
        self.values: dict[str, dict[int, float]] = {}

    @property
    def history(self) -> dict[str, pd.DataFrame]:
        """Logged values by name, a row for each epoch, as scvi-tools keeps them."""
        return {
            name: pd.DataFrame({name: list(values.values())}, index=pd.Index(list(values), name="epoch"))
            for name, values in self.values.items()
        }


def obstacle_to_loop(model: Any, plan_kwargs: Mapping[str, Any], kwargs: Mapping[str, Any]) -> str | None:
    """Say what of a training only lightning can do; ``None`` if :class:`MinibatchLoop` can do all of it.

    Parameters
    ----------
    model
        Model to train.
    plan_kwargs
        Arguments of its training plan.
    kwargs
        Arguments of ``train`` that differ from their defaults.
    """
    if model._training_plan_cls not in _PLANS:
        return f"{type(model).__name__} trains by {model._training_plan_cls.__name__}, which lightning runs"
    if model.adata is None:
        return "the model has no cells"
    of_lightning = {name for name, value in kwargs.items() if value is not None} - _TRAIN_ARGUMENTS
    if kwargs.get("devices") == 1:
        of_lightning.discard("devices")
    of_lightning |= {name for name in _OF_LIGHTNING if plan_kwargs.get(name)}
    if any(type(callback) is not SubSampleLabels for callback in kwargs.get("callbacks") or ()):
        of_lightning.add("callbacks")
    return f"{', '.join(sorted(of_lightning))}: for lightning's loop only" if of_lightning else None
