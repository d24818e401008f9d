"""Check options of training plans, such as ``lr``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check

from ._check import check_options, or_none, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NOT_NEGATIVE = partial(check.number, least=0)
_RATE = partial(check.number, above=0)
_COUNT = partial(check.whole, least=0)
_RULES: dict[str, Callable[[str, Any], Any]] = {
    "lr": _RATE,
    "eps": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "n_epochs_kl_warmup": or_none(_COUNT),
    "n_steps_kl_warmup": or_none(_COUNT),
    "max_kl_weight": _NOT_NEGATIVE,
    "min_kl_weight": _NOT_NEGATIVE,
    "reduce_lr_on_plateau": check.flag,
    "lr_factor": partial(check.number, above=0, below=1),
    "lr_patience": _COUNT,
    "lr_threshold": _NOT_NEGATIVE,
    "lr_min": _NOT_NEGATIVE,
    "classification_ratio": _NOT_NEGATIVE,
    "schedule": partial(check.choice, options=("joint", "alternating")),
    "classifier_epochs": partial(check.whole, least=1),
    "classifier_lr": _RATE,
    "label_balance": partial(check.number, least=0, most=1),
    "module_mode": partial(check.choice, options=("train", "eval")),
    "freeze_norms": check.flag,
    "compile": check.flag,
}
#: What a model says itself.
_OWN = {"module", "n_classes", "entries", "penalties", "setting"}


def check_plan(options: Mapping[str, Any] | None, plan: type, module: type[Any], *, name: str) -> dict[str, Any]:
    """Return options of a training plan by name, whole numbers as such.

    Parameters
    ----------
    options
        Options; ``None`` means none.
    plan, module
        Classes of the training plan and the module; what the first does not know it passes to the loss of the second.
    name
        Name of the options, for messages.

    Raises
    ------
    TypeError
        If neither knows an option, or its value is of another kind.
    ValueError
        If a value is out of range.
    """
    known = parameters_of(plan, module.loss) - _OWN
    return check_options(name, options, known, _RULES)
