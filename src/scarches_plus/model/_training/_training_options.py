"""Check the arguments of a training before any work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import lightning.pytorch
import scvi.train
import torch

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus._options import check_options, check_plan, or_none, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What scvi-tools takes without naming it.
_UNSAID = {"ckpt_path"}
_COUNT = partial(check.whole, least=1)


def _classifier(name: str, value: Any) -> Any:
    return value if isinstance(value, torch.nn.Module | None) else check.flag(name, value)


_RULES: dict[str, Callable[[str, Any], Any]] = {
    "max_epochs": or_none(partial(check.whole, least=1, most=_limits.EPOCHS)),
    "batch_size": or_none(_COUNT),
    "train_size": or_none(partial(check.number, above=0, most=1)),
    "validation_size": or_none(partial(check.number, least=0, below=1)),
    "n_samples_per_label": or_none(_COUNT),
    "check_val_every_n_epoch": or_none(_COUNT),
    "early_stopping": check.flag,
    "early_stopping_patience": _COUNT,
    "early_stopping_min_delta": partial(check.number, least=0),
    "enable_progress_bar": check.flag,
    "shuffle_set_split": check.flag,
    "gradient_clip_val": or_none(partial(check.number, least=0)),
    "log_every_n_steps": partial(check.whole, least=0),
    "lr": partial(check.number, above=0),
    "n_epochs_kl_warmup": or_none(partial(check.whole, least=0)),
    "n_steps_kl_warmup": or_none(partial(check.whole, least=0)),
    "reduce_lr_on_plateau": check.flag,
    "adversarial_classifier": _classifier,
}


def check_training(
    model: type[Any],
    plan_kwargs: Mapping[str, Any] | None,
    train_kwargs: Mapping[str, Any] | None,
    *,
    name: str = "train_kwargs",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return arguments of the training plan and of ``train``, whole numbers as such.

    Parameters
    ----------
    model
        Class of the model.
    plan_kwargs, train_kwargs
        Arguments by name; ``None`` means none.
    name
        Name of ``train_kwargs``, for messages.

    Raises
    ------
    TypeError
        If nothing knows an argument, or its value is of another kind.
    ValueError
        If a value is out of range.
    """
    plan = check_plan(plan_kwargs, model._training_plan_cls, model._module_cls, name="plan_kwargs")
    known = parameters_of(*trains_of(model), scvi.train.Trainer, lightning.pytorch.Trainer) | _UNSAID
    return plan, check_options(name, train_kwargs, known, _RULES)


def trains_of(model: type[Any]) -> list[Any]:
    """Return ``train`` of a class and of all its bases, which pass arguments on."""
    return [vars(base)["train"] for base in model.__mro__ if "train" in vars(base)]
