"""Train a reference model by a recipe: scVI, and for scANVI a second stage on labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import lightning.pytorch

from scarches_plus._logging import logger
from scarches_plus._options import check_network, parameters_of
from scarches_plus.model._scanvi import SCANVI
from scarches_plus.model._scvi import SCVI
from scarches_plus.model._state import update_state
from scarches_plus.model._surgery._query_model import release_cells_with
from scarches_plus.module import SCANVAE, VAE
from scarches_plus.train import SemiSupervisedTrainingPlan, TrainingPlan, summarize_reference

from ._defaults import default_epochs
from ._interrupt import trained_model_kept
from ._training_options import check_training, trains_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

    from scarches_plus._label_tree import LabelTree
    from scarches_plus.model._recipes._recipe import Recipe
    from scarches_plus.train import Penalty


@cache
def _of_labels() -> tuple[frozenset[str], frozenset[str]]:
    """Return which arguments of the model, and of its training, only scANVI has."""
    model = parameters_of(SCANVI, SCANVAE) - parameters_of(SCVI, VAE) - {"datamodule"}
    training = parameters_of(*trains_of(SCANVI), SemiSupervisedTrainingPlan)
    others = parameters_of(*trains_of(SCVI), TrainingPlan, lightning.pytorch.Trainer)
    return frozenset(model), frozenset(training - others)


@dataclass(frozen=True)
class ReferenceTraining:
    """A recipe with the arguments that a user gave in place of its own.

    Parameters
    ----------
    recipe
        Recipe.
    penalties
        Terms to add to the loss; ``None`` takes the recipe's.
    model_kwargs, plan_kwargs, train_kwargs
        Arguments in place of the recipe's; checked here.

    Raises
    ------
    TypeError
        If nothing knows an argument, or its value is of another kind.
    ValueError
        If a value is out of range.
    """

    recipe: Recipe
    penalties: tuple[Penalty, ...] | None = None
    model_kwargs: Mapping[str, Any] | None = None
    plan_kwargs: Mapping[str, Any] | None = None
    train_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        recipe = self.recipe
        cls: Any = SCANVI if recipe.model == "SCANVI" else SCVI
        classes = (SCVI, SCANVI, SCANVAE) if recipe.model == "SCANVI" else (SCVI, VAE)
        model_kwargs = check_network(self.model_kwargs, *classes, name="model_kwargs")
        check_network({**recipe.model_kwargs, **recipe.semi_supervised_model_kwargs}, *classes, name="the recipe")
        check_training(cls, recipe.plan_kwargs, recipe.train_kwargs, name="the recipe")
        plan_kwargs, train_kwargs = check_training(cls, self.plan_kwargs, self.train_kwargs)
        given = {
            "train_kwargs": train_kwargs,
            "the recipe's train_kwargs": recipe.train_kwargs,
            "the recipe's semi_supervised_kwargs": _without(recipe.semi_supervised_kwargs, {"plan_kwargs"}),
        }
        for name, options in given.items():
            if owned := sorted({"max_epochs", "penalties", "plan_kwargs"} & set(options)):
                message = f"{name} holds {owned}, which have a place of their own: give them by that name"
                raise TypeError(message)
        checked = {"model_kwargs": model_kwargs, "plan_kwargs": plan_kwargs, "train_kwargs": train_kwargs}
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def on_labels(self) -> bool:
        """Whether a second stage trains on labels."""
        return self.recipe.model == "SCANVI"

    def argument(self, name: str) -> Any:
        """Return an argument of the model, ``None`` if neither user nor recipe gives it."""
        given = (self.model_kwargs or {}, self.recipe.model_kwargs, self.recipe.semi_supervised_model_kwargs)
        return next((group[name] for group in given if name in group), None)

    def run(
        self,
        cells: AnnData,
        setup: Mapping[str, Any],
        *,
        unlabeled_category: str,
        hierarchy: LabelTree | Mapping[str, str | None] | None = None,
        max_epochs: int | None = None,
        **state: Any,
    ) -> SCVI | SCANVI:
        """Train the model.

        Parameters
        ----------
        cells
            Cells as models take them.
        setup
            Arguments of ``setup_anndata``.
        unlabeled_category
            Label of cells without one.
        hierarchy
            Hierarchy of the labels.
        max_epochs
            Epochs; ``None`` takes the recipe's, fewer for more than 40,000 cells.
        **state
            What the model remembers from the start, as in :class:`~scarches_plus.model.ModelState`.
        """
        recipe = self.recipe
        of_model, of_training = _of_labels()
        epochs = default_epochs(cells.n_obs, recipe.max_epochs) if max_epochs is None else max_epochs
        arguments = {**recipe.model_kwargs, **(self.model_kwargs or {})}
        plan = {**recipe.plan_kwargs, **(self.plan_kwargs or {})}
        train = {**recipe.train_kwargs, **(self.train_kwargs or {})}
        train["penalties"] = recipe.penalties if self.penalties is None else self.penalties
        SCVI.setup_anndata(cells, **setup)
        model = SCVI(cells, **_without(arguments, of_model if self.on_labels else ()))
        release_cells_with(model)
        update_state(model, **state)
        logger.info("training %s on %d cells for %d epochs", recipe.model, cells.n_obs, epochs)
        skipped = of_training if self.on_labels else ()
        model.train(max_epochs=epochs, plan_kwargs=_without(plan, of_training), **_without(train, skipped))
        if not self.on_labels:
            return model
        with trained_model_kept(model):
            own = {name: value for name, value in arguments.items() if name in of_model}
            own = {**recipe.semi_supervised_model_kwargs, **own}
            if hierarchy is not None:
                own["hierarchy"] = hierarchy
            labelled: SCANVI = SCANVI.from_scvi_model(model, unlabeled_category, **own)
            release_cells_with(labelled)
            update_state(labelled, **state)
            second = {**recipe.train_kwargs, **recipe.semi_supervised_kwargs, **(self.train_kwargs or {})}
            schedule = second.pop("plan_kwargs", {})
            labelled.train(
                max_epochs=min(recipe.semi_supervised_epochs, epochs),
                plan_kwargs={**recipe.plan_kwargs, **schedule, **(self.plan_kwargs or {})},
                penalties=train["penalties"],
                **second,
            )
            _finish_labels(
                labelled, setup["labels_key"], recipe.classifier_steps * min(recipe.semi_supervised_epochs, epochs)
            )
        return labelled


def _finish_labels(model: SCANVI, labels_key: str, steps: int) -> None:
    """Fit the classifier, and keep a summary of the labels, by which a mapping that moves the model holds it."""
    if getattr(model.module, "latent_distribution", "normal") != "normal":
        return
    if steps and not model.module.n_unobserved:  # these classes learn from unlabelled cells
        model.fit_classifier(steps=steps)
    try:
        summarize_reference(model, labels_key)
    except ValueError as reason:
        logger.info("no summary of the labels is kept: %s", reason)


def _without(options: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}
