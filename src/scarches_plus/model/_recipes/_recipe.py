"""Describe a reference model and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from scarches_plus import _arguments as check
from scarches_plus.train import name_terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scarches_plus.train import Penalty

#: What makes a network fit for surgery: the encoder sees the batch, and normalisation does not depend on the cells.
FOR_SURGERY = {"encode_covariates": True, "use_layer_norm": "both", "use_batch_norm": "none"}


@dataclass(frozen=True)
class Recipe:
    """A reference model and how it is trained.

    Attributes
    ----------
    model
        Model class of ``scarches_plus.model``.
    model_kwargs
        Arguments of the model class.
    plan_kwargs
        Arguments of the training plan.
    penalties
        Terms added to the loss.
    train_kwargs
        Further arguments of ``train``.
    max_epochs
        Epochs of training; of the unsupervised training where there are two. For more than 40,000 cells
        fewer in proportion, and at least 10.
    epochs_for_any_size
        Train these epochs however many cells there are.
    semi_supervised_epochs, semi_supervised_kwargs
        Epochs of scANVI's training after scVI's, and arguments of ``train`` for it.
    semi_supervised_model_kwargs
        Arguments that only scANVI's model class has.
    classifier_steps
        Steps of the classifier alone for each epoch of scANVI's training, at its end
        (:meth:`~scarches_plus.model.SCANVI.fit_classifier`).
    source
        Paper, and what it says of this model.
    departures
        Where this recipe does not do what the paper says, and why.
    """

    model: Literal["SCVI", "SCANVI", "TOTALVI"]
    source: str
    departures: tuple[str, ...] = ()
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    plan_kwargs: Mapping[str, Any] = field(default_factory=dict)
    penalties: tuple[Penalty, ...] = ()
    train_kwargs: Mapping[str, Any] = field(default_factory=dict)
    max_epochs: int = 200
    epochs_for_any_size: bool = False
    semi_supervised_epochs: int = 0
    semi_supervised_kwargs: Mapping[str, Any] = field(default_factory=dict)
    semi_supervised_model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    classifier_steps: int = 0

    def __post_init__(self) -> None:
        check.choice("model", self.model, ("SCVI", "SCANVI", "TOTALVI"))
        for name in (
            "model_kwargs",
            "plan_kwargs",
            "train_kwargs",
            "semi_supervised_kwargs",
            "semi_supervised_model_kwargs",
        ):
            check.mapping(name, getattr(self, name))
        object.__setattr__(self, "departures", check.names("departures", self.departures))
        name_terms(self.penalties)
        check.flags(epochs_for_any_size=self.epochs_for_any_size)
        object.__setattr__(self, "max_epochs", check.whole("max_epochs", self.max_epochs, least=1))
        semi_supervised = check.whole("semi_supervised_epochs", self.semi_supervised_epochs, least=0)
        object.__setattr__(self, "semi_supervised_epochs", semi_supervised)
        classifier_steps = check.whole("classifier_steps", self.classifier_steps, least=0)
        object.__setattr__(self, "classifier_steps", classifier_steps)
