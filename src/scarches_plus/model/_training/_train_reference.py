"""Train a reference model by a recipe: scVI or totalVI, and for scANVI a second stage on labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import lightning.pytorch
import scvi.external
import scvi.model

from scarches_plus import _arguments as check
from scarches_plus._logging import logger
from scarches_plus._options import check_network, parameters_of
from scarches_plus.model._recipes._recipe import Recipe
from scarches_plus.model._recipes._table import RECIPES
from scarches_plus.model._registration._module_registry import n_cells_of, registry_of_module
from scarches_plus.model._registration._multimodal import registrable
from scarches_plus.model._scanvi import SCANVI
from scarches_plus.model._scvi import SCVI
from scarches_plus.model._state import update_state
from scarches_plus.model._surgery._query_model import release_cells_with
from scarches_plus.model._totalvi import TOTALVI
from scarches_plus.module import SCANVAE, TOTALVAE, VAE
from scarches_plus.train import SemiSupervisedTrainingPlan, TrainingPlan, store_anchors, summarize_reference

from ._defaults import default_epochs
from ._interrupt import trained_model_kept
from ._training_options import check_training, trains_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from mudata import MuData

    from scarches_plus._label_tree import LabelTree
    from scarches_plus._reference import ReferenceSpec
    from scarches_plus.train import Penalty

#: What takes the arguments of a recipe's network, by the recipe's model.
_NETWORKS: dict[str, tuple[type, ...]] = {
    "SCVI": (SCVI, VAE),
    "SCANVI": (SCVI, SCANVI, SCANVAE),
    "TOTALVI": (TOTALVI, TOTALVAE),
}
#: What a model reads from its cells, and gives to its network.
_OF_CELLS = frozenset({
    "adata", "datamodule", "registry", "n_input", "n_input_genes", "n_input_proteins", "n_batch", "n_labels", "n_panel",
    "n_cats_per_cov", "n_continuous_cov", "library_log_means", "library_log_vars", "use_size_factor_key",
    "protein_batch_mask", "protein_background_prior_mean", "protein_background_prior_scale",
})  # fmt: skip
#: What scvi-tools does not use where a data module loads the minibatches.
_OF_LOADERS = frozenset({
    "batch_size", "train_size", "validation_size", "shuffle_set_split", "load_sparse_tensor", "datasplitter_kwargs",
})  # fmt: skip
_CLASSES: dict[str, Any] = {"SCVI": SCVI, "SCANVI": SCANVI, "TOTALVI": TOTALVI}


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
        Recipe, or its name.
    penalties
        Terms to add to the loss; ``None`` takes the recipe's.
    model_kwargs, plan_kwargs, train_kwargs
        Arguments in place of the recipe's; checked here.

    Raises
    ------
    TypeError
        If nothing knows an argument, or its value is of another kind.
    ValueError
        If a value is out of range, or the recipe is unknown.
    """

    recipe: Recipe
    penalties: tuple[Penalty, ...] | None = None
    model_kwargs: Mapping[str, Any] | None = None
    plan_kwargs: Mapping[str, Any] | None = None
    train_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        recipe = _found(self.recipe)
        cls, classes = _CLASSES[recipe.model], _NETWORKS[recipe.model]
        model_kwargs = check_network(self.model_kwargs, *classes, name="model_kwargs", without=_OF_CELLS)
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
        checked = {
            "recipe": recipe,
            "model_kwargs": model_kwargs,
            "plan_kwargs": plan_kwargs,
            "train_kwargs": train_kwargs,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def on_labels(self) -> bool:
        """Whether a second stage trains on labels."""
        return self.recipe.model == "SCANVI"

    @property
    def terms(self) -> tuple[Penalty, ...]:
        """Penalties of the training."""
        return self.recipe.penalties if self.penalties is None else self.penalties

    @property
    def of_proteins(self) -> bool:
        """Whether the model reads proteins, too (totalVI)."""
        return self.recipe.model == "TOTALVI"

    def argument(self, name: str) -> Any:
        """Return an argument of the model, ``None`` if neither user nor recipe gives it."""
        given = (self.model_kwargs or {}, self.recipe.model_kwargs, self.recipe.semi_supervised_model_kwargs)
        return next((group[name] for group in given if name in group), None)

    def run(
        self,
        cells: AnnData,
        source: AnnData | MuData,
        spec: ReferenceSpec,
        *,
        hierarchy: LabelTree | Mapping[str, str | None] | None = None,
        max_epochs: int | None = None,
        **state: Any,
    ) -> SCVI | SCANVI | TOTALVI:
        """Train the model.

        Parameters
        ----------
        cells
            Cells as models take them.
        source
            Where they come from; proteins are taken from there.
        spec
            Where the cells have what the model reads.
        hierarchy
            Hierarchy of the labels.
        max_epochs
            Epochs; ``None`` takes the recipe's, fewer for more than 40,000 cells unless it trains all of them at any
            size.
        **state
            What the model remembers from the start, as in :class:`~scarches_plus.model.ModelState`.
        """
        recipe = self.recipe
        of_model, of_training = _of_labels()
        epochs = self._epochs(max_epochs, cells.n_obs)
        arguments = {**recipe.model_kwargs, **(self.model_kwargs or {})}
        plan = {**recipe.plan_kwargs, **(self.plan_kwargs or {})}
        train = {**recipe.train_kwargs, **(self.train_kwargs or {})}
        train["penalties"] = self.terms
        first: Any = TOTALVI if self.of_proteins else SCVI
        registered = registrable(cells, source, spec)
        _set_up(first, registered, spec)
        model = first(registered, **_without(arguments, of_model if self.on_labels else ()))
        release_cells_with(model)
        update_state(model, **state)
        logger.info("training %s on %d cells for %d epochs", recipe.model, cells.n_obs, epochs)
        skipped = of_training if self.on_labels else ()
        model.train(max_epochs=epochs, plan_kwargs=_without(plan, of_training), **_without(train, skipped))
        if self.of_proteins and spec.labels_key is not None:
            with trained_model_kept(model):
                _summarize_labels(model, cells, spec)
        if not self.on_labels:
            with trained_model_kept(model):
                return self._with_anchors(model)
        with trained_model_kept(model):
            own = {name: value for name, value in arguments.items() if name in of_model}
            own = {**recipe.semi_supervised_model_kwargs, **own}
            if hierarchy is not None:
                own["hierarchy"] = hierarchy
            labelled: SCANVI = SCANVI.from_scvi_model(model, spec.unlabeled_category, **own)
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
        with trained_model_kept(labelled):
            self._fit_classifier(labelled, epochs)
            _summarize_labels(labelled, cells, spec)  # by which a mapping that moves the model holds its classifier
            return self._with_anchors(labelled)

    def run_on_module(
        self, module: Any, batch_key: str, labels_key: str | None, *, max_epochs: int | None = None, **state: Any
    ) -> SCVI:
        """Train the model on the minibatches of a data module, in lightning's loop.

        Parameters
        ----------
        module
            Data module of scvi-tools' protocol: a ``LightningDataModule`` with a ``registry``.
        batch_key, labels_key
            Columns of batches and labels in queries.
        max_epochs, **state
            As in :meth:`run`.

        Raises
        ------
        ValueError
            If the recipe is of another model than scVI, or the registry says too little, or an argument is of loaders.
        """
        recipe, n_cells = self.recipe, n_cells_of(module)
        if recipe.model != "SCVI":
            message = (
                f"recipe of {recipe.model}: a data module brings no minibatches of labelled cells or proteins of their "
                "own; take a recipe of scVI, or write the cells into a store, sp.pp.write_store, and build the "
                "reference of that"
            )
            raise ValueError(message)
        given, train = self.train_kwargs or {}, {**recipe.train_kwargs, **(self.train_kwargs or {})}
        if unused := sorted(_OF_LOADERS & set(given)):
            message = f"train_kwargs holds {unused}, which a data module decides: leave them out, and set them there"
            raise ValueError(message)
        epochs = self._epochs(max_epochs, n_cells)
        registry = registry_of_module(SCVI, module, batch_key, labels_key)
        model = SCVI(registry=registry, **{**recipe.model_kwargs, **(self.model_kwargs or {})})
        update_state(model, **state)
        logger.info("training %s on %d cells of a data module for %d epochs", recipe.model, n_cells, epochs)
        model.train(
            max_epochs=epochs,
            datamodule=module,
            penalties=self.terms,
            plan_kwargs={**recipe.plan_kwargs, **(self.plan_kwargs or {})},
            **_without(train, _OF_LOADERS),
        )
        return model

    def _epochs(self, given: int | None, n_cells: int) -> int:
        """Return the epochs asked for, or those of the recipe for so many cells."""
        if given is not None:
            return given
        most = self.recipe.max_epochs
        return most if self.recipe.epochs_for_any_size else default_epochs(n_cells, most)

    def _fit_classifier(self, model: SCANVI, epochs: int) -> None:
        """Fit the classifier alone, unless it has classes that learn from unlabelled cells."""
        steps = self.recipe.classifier_steps * min(self.recipe.semi_supervised_epochs, epochs)
        if steps and not model.module.n_unobserved and model.module.latent_distribution == "normal":
            model.fit_classifier(steps=steps)

    def _with_anchors(self, model: Any) -> Any:
        """Let the model keep the cells with which its penalties compare a query of one batch."""
        if any(penalty.uses_anchors and getattr(penalty, "anchors", None) is not False for penalty in self.terms):
            try:
                store_anchors(model)
            except ValueError as error:  # the latent distribution is not normal
                logger.warning("the model carries no anchors to compare a query of one batch with: %s", error)
        return model


def _found(recipe: Recipe | str) -> Recipe:
    """Return a recipe by its name, or as it is."""
    if isinstance(recipe, Recipe):
        return recipe
    names = {name for name in (*dir(scvi.model), *dir(scvi.external)) if name[0].isupper()} - set(check.SUPPORTED)
    others = {name.lower(): name for name in names}
    if isinstance(recipe, str) and recipe.lower() in others:
        message = f"there is no recipe {recipe!r}: {check.unsupported(others[recipe.lower()])}"
        raise ValueError(message)
    return RECIPES[check.choice("recipe", recipe, RECIPES)]


def _set_up(cls: Any, cells: AnnData | MuData, spec: ReferenceSpec) -> None:
    """Register cells with a class of models."""
    columns = {
        "batch_key": spec.batch_key,
        "categorical_covariate_keys": list(spec.categorical_covariates) or None,
        "continuous_covariate_keys": list(spec.continuous_covariates) or None,
    }
    if not spec.modalities:
        cls.setup_anndata(cells, layer=spec.layer, labels_key=spec.labels_key, **columns)
        return
    places = {"rna_layer": spec.modalities["genes"], "protein_layer": spec.modalities["proteins"]}
    cls.setup_mudata(cells, rna_layer=spec.layer, protein_layer=spec.protein_layer, modalities=places, **columns)


def _summarize_labels(model: SCANVI | TOTALVI, cells: AnnData, spec: ReferenceSpec) -> None:
    """Let a model carry a summary of its labels."""
    labels = cells.obs[spec.labels_key].astype(object)
    labels = labels.where(labels != spec.unlabeled_category, None)
    try:
        summarize_reference(model, str(spec.labels_key), labels=labels.tolist(), unlabelled=())
    except ValueError as error:  # none has enough cells
        logger.warning("the model carries no summary of the labels in obs[%r]: %s", spec.labels_key, error)


def _without(options: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}
