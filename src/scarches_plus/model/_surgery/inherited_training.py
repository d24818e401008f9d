"""Let the training of a query follow the rules by which its reference was trained."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from scarches_plus._logging import logger
from scarches_plus.model._registration._groupings import setting_of
from scarches_plus.model._state import TrainingRecord, get_state
from scarches_plus.train import Penalty

from ._strategies import as_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Arguments of the training plan that belong to the cost, and those of them that only labelled cells give a use.
_PLAN = frozenset({"min_kl_weight", "max_kl_weight", "n_epochs_kl_warmup", "n_steps_kl_warmup"})
_PLAN_OF_LABELS = frozenset({"schedule", "classifier_epochs", "classifier_lr", "classification_ratio", "label_balance"})
#: The same of ``train``.
_TRAIN = frozenset({"batch_size", "gradient_clip_val", "gradient_clip_algorithm"})


@dataclass(frozen=True)
class InheritedTraining:
    """Training that a query takes over from its reference.

    Attributes
    ----------
    penalties
        Penalties of the reference's training that apply to the query's.
    plan_kwargs, train_kwargs
        Arguments of the training plan and of ``train``.
    left_out
        Name of each penalty that does not apply, and the reason.
    """

    penalties: tuple[Penalty, ...] = ()
    plan_kwargs: Mapping[str, Any] = field(default_factory=dict)
    train_kwargs: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def without(
        self, penalties: Sequence[Penalty] | None, plan_kwargs: Mapping[str, Any], train_kwargs: Mapping[str, Any]
    ) -> InheritedTraining:
        """Return what is left where arguments are given: all penalties make way for those given, if any are.

        Parameters
        ----------
        penalties
            Penalties in place of the reference's; ``None`` keeps these.
        plan_kwargs, train_kwargs
            Arguments that are given.
        """
        kept = self if penalties is None else InheritedTraining()
        for name, reason in kept.left_out.items():
            logger.warning(
                "the reference was trained with penalty %r, and this query is not: %s. penalties=() leaves it out",
                name,
                reason,
            )
        inherited = InheritedTraining(
            kept.penalties,
            _without(self.plan_kwargs, plan_kwargs),
            _without(self.train_kwargs, train_kwargs),
            kept.left_out,
        )
        named = [penalty.name for penalty in inherited.penalties]
        given = [f"{name}={value!r}" for name, value in {**inherited.plan_kwargs, **inherited.train_kwargs}.items()]
        if named or given:
            logger.info("trained as the reference was: %s", ", ".join([*named, *given]))
        return inherited

    def to_text(self) -> str:
        """Return JSON, for records of how a query was mapped."""
        return json.dumps(vars(self) | {"penalties": [penalty.options() for penalty in self.penalties]})


def _without(options: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def record_of_training(
    penalties: Sequence[dict[str, Any]], plan_kwargs: Mapping[str, Any], train_kwargs: Mapping[str, Any]
) -> TrainingRecord:
    """Return what queries inherit of a reference's training."""
    given = {**plan_kwargs, **train_kwargs}  # totalVI takes arguments of its plan as those of train
    return TrainingRecord(
        penalties=tuple(penalties),
        plan_kwargs={name: given[name] for name in sorted((_PLAN | _PLAN_OF_LABELS) & set(given))},
        train_kwargs={name: given[name] for name in sorted(_TRAIN & set(train_kwargs))},
    )


def inherited_training(mapped: Any) -> InheritedTraining:
    """Return what a query model takes over from the training of its reference.

    Parameters
    ----------
    mapped
        Query model, before its training.
    """
    state = get_state(mapped)
    record = state.training
    if record is None:
        if state.recipe:
            logger.warning(
                "the reference was built by recipe %r before its training was recorded, so nothing is inherited: pass "
                "penalties, plan_kwargs and train_kwargs of sp.model.RECIPES[%r] to train the query alike",
                state.recipe, state.recipe,
            )  # fmt: skip
        return InheritedTraining()
    of_labels = () if len(getattr(mapped, "_labeled_indices", ())) else _PLAN_OF_LABELS
    penalties, left_out = [], {}
    for options in record.penalties:
        name = str(options.get("name"))
        try:
            penalty = Penalty.from_options(options)
            _require_use(penalty, mapped)
        except (KeyError, TypeError, ValueError) as error:
            left_out[name] = str(error.args[0] if error.args else error)
        else:
            penalties.append(penalty)
    return InheritedTraining(
        tuple(penalties),
        {name: value for name, value in record.plan_kwargs.items() if name not in of_labels},
        dict(record.train_kwargs),
        left_out,
    )


def _require_use(penalty: Penalty, mapped: Any) -> None:
    """Raise if the query's training could not use a penalty."""
    surgery = get_state(mapped).surgery
    entries = None if surgery is None else as_tensors(surgery.entries)
    with torch.random.fork_rng(devices=[]):  # looking must not change what training draws
        penalty.prepare(setting_of(mapped, entries))
