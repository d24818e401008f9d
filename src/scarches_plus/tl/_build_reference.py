"""Train a reference model and embed the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from warnings import warn

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus import _keys, _limits
from scarches_plus._cells import column_of, missing, names_of, require_writable, unmeasured_genes
from scarches_plus._label_tree import LabelTree
from scarches_plus._logging import logger
from scarches_plus._options import check_network
from scarches_plus._reference import ReferenceSpec
from scarches_plus.pp import check_query

from ._records._provenance import write_embedding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from anndata import AnnData

    from scarches_plus.model import SCANVI, SCVI, Recipe
    from scarches_plus.train import Penalty

#: Arguments of training, and of its plan, that only scANVI's has.
_ONLY_SEMI_SUPERVISED = {
    "n_samples_per_label", "schedule", "classifier_epochs", "classifier_lr", "classification_ratio"
}  # fmt: skip
#: Arguments of the model class that only scANVI's has.
_ONLY_SCANVI = {"n_unobserved", "linear_classifier", "classifier_parameters"}


def build_reference(  # noqa: PLR0915 (arguments are checked one by one)
    adata: AnnData,
    batch_key: str,
    labels_key: str | None = None,
    *,
    recipe: str | Recipe = "scvi",
    penalties: Sequence[Penalty] | None = None,
    layer: str | None = None,
    gene_mask: Literal["auto"] | pd.DataFrame | Mapping[str, Sequence[str]] | None = "auto",
    unlabeled_category: str = _keys.UNKNOWN,
    hierarchy: LabelTree | Mapping[str, str | None] | None = None,
    categorical_covariate_keys: Sequence[str] = (),
    continuous_covariate_keys: Sequence[str] = (),
    max_epochs: int | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    plan_kwargs: Mapping[str, Any] | None = None,
    train_kwargs: Mapping[str, Any] | None = None,
    key_added: str = _keys.EMBEDDING,
) -> SCVI | SCANVI:
    """Train a reference model that queries can be mapped onto, and embed the reference.

    Parameters
    ----------
    adata
        Reference cells with raw counts. Receives ``obsm[key_added]`` and a record in ``uns["scarches_plus"]``; nothing
        else of it changes.
    batch_key
        ``obs`` column of batches (studies, technologies, samples).
    labels_key
        ``obs`` column of cell types; needed by recipe ``"scanvi"``. Missing values count as unlabelled.
    recipe
        Name in :data:`scarches_plus.model.RECIPES`, or a :class:`~scarches_plus.model.Recipe`.
    penalties
        Terms to add to the loss, instead of the recipe's; ``()`` for none.
    layer
        Layer with raw counts; ``None`` means ``X``.
    gene_mask
        Genes that each batch measured; the others leave the likelihood of its cells, here and wherever the model trains
        again. ``"auto"``: as :func:`scarches_plus.pp.concat_studies` recorded it, if it did. Else batch to the names of
        the genes it measured, or a boolean DataFrame of genes x batches; a batch that is not named measured every gene.
        ``None``: no mask.
    unlabeled_category
        Label of cells without a label.
    hierarchy
        Hierarchy of the labels (:func:`scarches_plus.pp.label_tree`), for recipes of scANVI: cells may have a label at
        any level of it.
    categorical_covariate_keys, continuous_covariate_keys
        Further covariates to correct for.
    max_epochs
        Epochs; ``None`` takes the recipe's, fewer for more than 40,000 cells (scvi-tools' heuristic).
    model_kwargs, plan_kwargs, train_kwargs
        Override the recipe's arguments of the model class (for scANVI ``n_unobserved``, too), the training plan and
        ``train``.
    key_added
        ``obsm`` slot of the embedding, shape ``(n_cells, n_latent)``.

    Returns
    -------
    The trained model. Set ``scvi.settings.seed`` right before for a repeatable result.

    Raises
    ------
    QueryError
        If the cells cannot be used, naming every problem and its fix.
    ValueError
        If the recipe needs labels and there are none or just one, or labels are not in the hierarchy, or there is no
        such recipe, or ``gene_mask`` names an unknown batch or gene, or a batch spans studies that measured different
        genes.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    from scarches_plus.model import SCANVI, SCVI
    from scarches_plus.model._state import update_state
    from scarches_plus.model._surgery._query_model import release_cells_with
    from scarches_plus.model._training._defaults import default_epochs
    from scarches_plus.model._training._interrupt import trained_model_kept
    from scarches_plus.model._training._training_options import check_training
    from scarches_plus.module import SCANVAE, VAE
    from scarches_plus.train._penalty_parts._penalty_sum import name_terms

    check.cells("adata", adata)
    check.texts(batch_key=batch_key, unlabeled_category=unlabeled_category)
    check.texts_or_none(labels_key=labels_key, layer=layer)
    categorical_covariate_keys = check.names("categorical_covariate_keys", categorical_covariate_keys)
    continuous_covariate_keys = check.names("continuous_covariate_keys", continuous_covariate_keys)
    check.distinct(
        batch_key=batch_key,
        labels_key=labels_key,
        categorical_covariate_keys=categorical_covariate_keys,
        continuous_covariate_keys=continuous_covariate_keys,
    )
    name_terms(penalties or ())
    check.slot("key_added", key_added)
    max_epochs = None if max_epochs is None else check.whole("max_epochs", max_epochs, least=1, most=_limits.EPOCHS)
    require_writable(adata, copy=None)
    name = recipe if isinstance(recipe, str) else ""
    recipe = _recipe(recipe)
    classes = (SCVI, VAE) if recipe.model == "SCVI" else (SCVI, SCANVI, SCANVAE)
    model_kwargs = check_network(model_kwargs, *classes, name="model_kwargs")
    check_network({**recipe.model_kwargs, **recipe.semi_supervised_model_kwargs}, *classes, name="the recipe")
    check_training(
        SCVI if recipe.model == "SCVI" else SCANVI, recipe.plan_kwargs, recipe.train_kwargs, name="the recipe"
    )
    plan_kwargs, train_kwargs = check_training(SCVI if recipe.model == "SCVI" else SCANVI, plan_kwargs, train_kwargs)
    if recipe.model == "SCANVI" and labels_key is None:
        message = "this recipe trains on labels: pass labels_key=..., or take recipe='scvi'"
        raise ValueError(message)
    if recipe.model != "SCANVI" and hierarchy is not None:
        message = "this recipe does not train on labels, so hierarchy has no use; leave it out, or take recipe='scanvi'"
        raise ValueError(message)
    cells = _reference_cells(
        adata,
        batch_key,
        labels_key,
        layer=layer,
        unlabeled_category=unlabeled_category,
        categorical=categorical_covariate_keys,
        continuous=continuous_covariate_keys,
    )
    unmeasured = unmeasured_genes(cells, cells.obs[batch_key].to_numpy(), gene_mask)
    setup = {
        "layer": layer,
        "batch_key": batch_key,
        "labels_key": labels_key,
        "categorical_covariate_keys": list(categorical_covariate_keys) or None,
        "continuous_covariate_keys": list(continuous_covariate_keys) or None,
    }
    epochs = default_epochs(cells.n_obs, recipe.max_epochs) if max_epochs is None else max_epochs
    given = {**recipe.model_kwargs, **model_kwargs}
    own = {name: given.pop(name) for name in _ONLY_SCANVI & set(given)} if recipe.model == "SCANVI" else {}
    of_labels = {
        **recipe.semi_supervised_model_kwargs,
        **own,
        **({} if hierarchy is None else {"hierarchy": hierarchy}),
    }
    if recipe.model == "SCANVI":
        _require_labels(set(cells.obs[labels_key]) - {unlabeled_category}, str(labels_key), of_labels)
    both = {**recipe.plan_kwargs, **plan_kwargs}
    plan: dict[str, Any] = {"plan_kwargs": {name: both[name] for name in both if name not in _ONLY_SEMI_SUPERVISED}}
    plan["penalties"] = recipe.penalties if penalties is None else tuple(penalties)
    unsupervised = {
        name: value
        for name, value in {**recipe.train_kwargs, **train_kwargs, **plan}.items()
        if recipe.model == "SCVI" or name not in _ONLY_SEMI_SUPERVISED
    }
    SCVI.setup_anndata(cells, **setup)
    model = SCVI(cells, **given)
    release_cells_with(model)
    update_state(model, unmeasured=unmeasured, recipe=name)
    logger.info("training %s on %d cells for %d epochs", recipe.model, adata.n_obs, epochs)
    logger.info(
        "counts are %s, batches obs[%r], labels %s%s",
        "X" if layer in {None, "X"} else f"layers[{layer!r}]", batch_key,
        f"obs[{labels_key!r}]" if recipe.model == "SCANVI" else "not used",
        "; genes that a batch did not measure leave its likelihood" if unmeasured else "",
    )  # fmt: skip
    model.train(max_epochs=epochs, **unsupervised)
    if recipe.model == "SCANVI":
        with trained_model_kept(model):
            model = SCANVI.from_scvi_model(model, unlabeled_category, **of_labels)
            release_cells_with(model)
            update_state(model, unmeasured=unmeasured, recipe=name)
            semi_supervised = {**recipe.train_kwargs, **recipe.semi_supervised_kwargs, **train_kwargs, **plan}
            schedule = recipe.semi_supervised_kwargs.get("plan_kwargs", {})
            semi_supervised["plan_kwargs"] = {**recipe.plan_kwargs, **schedule, **plan_kwargs}
            model.train(max_epochs=min(recipe.semi_supervised_epochs, epochs), **semi_supervised)
    with trained_model_kept(model):
        write_embedding(adata, key_added, model.get_latent_representation(), model, layer=layer, role=_keys.REFERENCE)
    return model


def _recipe(recipe: str | Recipe) -> Recipe:
    from scarches_plus.model import RECIPES
    from scarches_plus.model import Recipe as RecipeClass

    if isinstance(recipe, RecipeClass):
        return recipe
    return RECIPES[check.choice("recipe", recipe, RECIPES)]


def _require_labels(labels: set[str], key: str, of_labels: Mapping[str, Any]) -> None:
    """Raise if there is nothing to tell apart, or a label is not in the hierarchy."""
    hierarchy = of_labels.get("hierarchy")
    if len(labels) == 1 and not (hierarchy or of_labels.get("n_unobserved")):
        message = f"{labels.pop()!r} is the only label in obs[{key!r}], nothing to tell apart: take recipe='scvi'"
        raise ValueError(message)
    if hierarchy is not None:
        LabelTree.of(hierarchy).require(labels, f"labels of obs[{key!r}]")


def _reference_cells(
    adata: AnnData,
    batch_key: str,
    labels_key: str | None,
    *,
    layer: str | None,
    unlabeled_category: str,
    categorical: Sequence[str],
    continuous: Sequence[str],
) -> AnnData:
    """Check the cells and return them as models take them, sharing the counts with ``adata``."""
    from scarches_plus.model._cells._prepare import prepare_cells

    given = None if labels_key is None else names_of(column_of(adata.obs, labels_key))
    spec = ReferenceSpec(
        var_names=tuple(adata.var_names),
        layer=layer,
        batch_key=batch_key,
        labels_key=labels_key,
        unlabeled_category=unlabeled_category,
        categorical_covariates=dict.fromkeys(categorical, ()),
        continuous_covariates=tuple(continuous),
    )
    report = check_query(adata, spec)
    report.raise_for_problems()
    for problem in report.problems:
        warn(str(problem), UserWarning, stacklevel=3)
    cells = prepare_cells(adata, spec)
    if labels_key is not None and given is not None:
        cells.obs[labels_key] = np.where(missing(given), unlabeled_category, given)
        if (cells.obs[labels_key] == unlabeled_category).all():
            message = f"no cell has a label in obs[{labels_key!r}]; pass another column, or leave labels_key out"
            raise ValueError(message)
    return cells
