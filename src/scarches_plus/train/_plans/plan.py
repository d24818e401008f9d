"""Extend scvi-tools' training plans by penalties, explicit modes and exact freezing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import scvi.train
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from scarches_plus import _arguments as check
from scarches_plus._options import check_plan
from scarches_plus.train._plans._shared._alternating import AlternatingMixin
from scarches_plus.train._plans._shared._epoch_log import EpochLogMixin
from scarches_plus.train._plans._shared._penalty_plan import PenaltyMixin

from .free_entries import FreeEntries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor
    from torch.nn import Module


#: Name in a minibatch of what of each cell's likelihood does not change while the module trains.
CONSTANT = "_constant_log_likelihood"


class PlanMixin:
    """Behaviour that every training plan of this package adds to scvi-tools' own.

    Parameters
    ----------
    module
        Module to train.
    entries
        What may train, as :class:`FreeEntries` takes it; ``None`` leaves the choice to scvi-tools.
    module_mode
        ``"train"`` (dropout and batch statistics are live) or ``"eval"`` (the network is deterministic). lightning
        keeps whatever mode it finds, and scvi-tools leaves modules in ``eval`` after the first training.
    freeze_norms
        Keep normalisation layers in ``eval`` even in ``module_mode="train"``, so that their running statistics stay.
    """

    def __init__(
        self,
        module: Module,
        *args: Any,
        entries: Mapping[str, tuple[int, Tensor] | None] | None = None,
        module_mode: Literal["train", "eval"] = "train",
        freeze_norms: bool = False,
        **kwargs: Any,
    ) -> None:
        check.choice("module_mode", module_mode, ("train", "eval"))
        check.flags(freeze_norms=freeze_norms)
        super().__init__(module, *args, **check_plan(kwargs, type(self), type(module), name=type(self).__name__))  # type: ignore[call-arg]
        self._module_mode = module_mode
        self._freeze_norms = freeze_norms
        self._entries = entries
        self._free: FreeEntries | None = None
        self._parts: list[Module] | None = None

    def get_optimizer_creator(self) -> Callable[..., torch.optim.Optimizer]:
        """Create the optimiser on the free entries only."""
        create = super().get_optimizer_creator()  # type: ignore[misc]
        if self._entries is None:
            return create

        def create_on_free_entries(_: Any) -> torch.optim.Optimizer:
            free = FreeEntries(getattr(self.module, "_orig_mod", self.module), self._entries)  # type: ignore[attr-defined, arg-type]
            optimizer = create(free.parameters())
            optimizer.register_step_post_hook(lambda *_: free.scatter_values())
            self._free = free
            return optimizer

        return create_on_free_entries

    def _optimizer_creator_fn(self, optimizer_cls: type[torch.optim.Adam | torch.optim.AdamW]) -> Callable[..., Any]:
        """Create Adam in its one-kernel form, as scvi-tools does from 1.5 on."""
        if hasattr(self, "fused_optimizer"):
            return super()._optimizer_creator_fn(optimizer_cls)  # type: ignore[misc, no-any-return]

        def create(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
            parameters = list(parameters)
            # lightning cannot clip gradients that a fused optimiser scales back
            fused = self.trainer.scaler is None and all(p.device.type in {"cpu", "cuda"} for p in parameters)  # type: ignore[attr-defined]
            return optimizer_cls(parameters, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay, fused=fused)  # type: ignore[attr-defined]

        return create

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss of scvi-tools, for which the likelihood of a cell's counts is one number."""
        if not hasattr(self.module, "summed_over_genes"):  # type: ignore[attr-defined]
            return super().forward(*args, **kwargs)  # type: ignore[misc]
        with self.module.summed_over_genes(args[0].get(CONSTANT)):  # type: ignore[attr-defined]
            return super().forward(*args, **kwargs)  # type: ignore[misc]

    def on_train_start(self) -> None:
        """Let loaders that keep cells in memory keep what of their likelihood does not change."""
        super().on_train_start()  # type: ignore[misc]
        data = getattr(self.trainer, "datamodule", None)  # type: ignore[attr-defined]
        derive = getattr(getattr(data, "adata_manager", None), "derive", None)
        if derive is not None and hasattr(self.module, "constant_terms"):  # type: ignore[attr-defined]
            derive(CONSTANT, self.module.constant_terms)  # type: ignore[attr-defined]

    def on_train_epoch_start(self) -> None:
        """Set the module's mode, which callbacks and earlier trainings may have changed."""
        super().on_train_epoch_start()  # type: ignore[misc]
        if self._parts is None:
            self._parts = list(self.module.modules())  # type: ignore[attr-defined]
        for part in self._parts:
            frozen = self._freeze_norms and isinstance(part, torch.nn.modules.batchnorm._BatchNorm)
            part.training = self._module_mode == "train" and not frozen
        # scvi-tools looks for the device in every step of a module in eval mode; its layers do not ask the module
        self.module.training = True  # type: ignore[attr-defined]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Hand gradients to the optimiser's tensors, once they are complete on every device."""
        super().on_before_optimizer_step(optimizer)  # type: ignore[misc]
        if self._free is not None:
            self._free.gather_gradients()


class TrainingPlan(EpochLogMixin, PenaltyMixin, PlanMixin, scvi.train.TrainingPlan):
    """:class:`scvi.train.TrainingPlan` with penalties, explicit modes and exact freezing."""


class AdversarialTrainingPlan(EpochLogMixin, PenaltyMixin, PlanMixin, scvi.train.AdversarialTrainingPlan):
    """:class:`scvi.train.AdversarialTrainingPlan` (totalVI) with penalties, explicit modes and exact freezing."""

    def configure_optimizers(self) -> Any:
        """Return the optimisers and schedule of scvi-tools without the monitor.

        The plan reads it itself, since it takes steps by hand; lightning would ignore it, and warn of that.
        """
        found = super().configure_optimizers()
        schedules = (
            found[1] if isinstance(found, tuple) else [found.get("lr_scheduler")] if isinstance(found, dict) else []
        )
        for schedule in filter(None, schedules):
            schedule.pop("monitor", None)
        return found


class SemiSupervisedTrainingPlan(
    AlternatingMixin, EpochLogMixin, PenaltyMixin, PlanMixin, scvi.train.SemiSupervisedTrainingPlan
):
    """:class:`scvi.train.SemiSupervisedTrainingPlan` with penalties, modes and exact freezing.

    It has both of scANVI's schedules.

    Parameters
    ----------
    module
        Module to train.
    n_classes
        Number of labels, without the classes that no cell is labelled with.
    *args, **kwargs
        As in scvi-tools, and those of the mixins.
    """

    def __init__(self, module: Module, n_classes: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(module, n_classes, *args, **kwargs)
        self._n_labels = n_classes
        # classes that no cell is labelled with answer as one
        self.n_classes = n_classes + bool(getattr(module, "n_unobserved", 0))

    def _values_of(self, output: Any) -> dict[str, Tensor]:
        """Return what scvi-tools logs of a step."""
        values = super()._values_of(output)
        if output.classification_loss is None:
            return values
        labels, logits = output.true_labels.squeeze(-1), output.logits
        accuracy = (logits.argmax(-1) == labels).float().mean()
        return values | {
            "{}_classification_loss": output.classification_loss,
            "{}_accuracy": accuracy,
            "{}_f1_score": accuracy,  # the same where it is averaged over cells
            "{}_calibration_error": multiclass_calibration_error(logits, labels, self.n_classes, validate_args=False),
        }

    def _split_semisupervised_batch(self, batch: Any) -> tuple[Any, Any]:
        """Tell unlabelled from labelled cells, which scvi-tools 1.5 mistakes if they have covariates of both kinds."""
        unlabeled = getattr(self.module, "unlabeled_code", self._n_labels)
        if isinstance(batch, dict) and bool((batch["labels"] >= unlabeled).any()):
            return batch, None
        return super()._split_semisupervised_batch(batch)  # type: ignore[misc, no-any-return]
