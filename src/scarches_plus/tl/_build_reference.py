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
from scarches_plus._reference import ReferenceSpec
from scarches_plus.pp import check_query

from ._provenance._embedding_record import write_embedding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from anndata import AnnData

    from scarches_plus.model import SCANVI, SCVI, Recipe, ReferenceTraining
    from scarches_plus.train import Penalty


def build_reference(
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
        Epochs; ``None`` takes the recipe's, fewer for more than 40,000 cells (scvi-tools' heuristic) unless the recipe
        says otherwise (``Recipe.epochs_for_any_size``).
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
    from scarches_plus.model import trained_model_kept

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
    check.slot("key_added", key_added)
    max_epochs = None if max_epochs is None else check.whole("max_epochs", max_epochs, least=1, most=_limits.EPOCHS)
    require_writable(adata, copy=None)
    training = _training(recipe, penalties, model_kwargs, plan_kwargs, train_kwargs)
    _require_use_of_labels(training, labels_key, hierarchy)
    spec = ReferenceSpec(
        var_names=tuple(adata.var_names),
        layer=layer,
        batch_key=batch_key,
        labels_key=labels_key,
        unlabeled_category=unlabeled_category,
        categorical_covariates=dict.fromkeys(categorical_covariate_keys, ()),
        continuous_covariates=tuple(continuous_covariate_keys),
    )
    cells = _reference_cells(adata, spec)
    if training.on_labels:
        _require_labels(set(cells.obs[labels_key]) - {unlabeled_category}, str(labels_key), training, hierarchy)
    unmeasured = unmeasured_genes(cells, cells.obs[batch_key].to_numpy(), gene_mask)
    logger.info(
        "counts are %s, batches obs[%r], labels %s%s",
        "X" if layer in {None, "X"} else f"layers[{layer!r}]", batch_key,
        f"obs[{labels_key!r}]" if training.on_labels else "not used",
        "; genes that a batch did not measure leave its likelihood" if unmeasured else "",
    )  # fmt: skip
    setup = {
        "layer": layer,
        "batch_key": batch_key,
        "labels_key": labels_key,
        "categorical_covariate_keys": list(categorical_covariate_keys) or None,
        "continuous_covariate_keys": list(continuous_covariate_keys) or None,
    }
    model = training.run(
        cells,
        setup,
        unlabeled_category=unlabeled_category,
        hierarchy=hierarchy,
        max_epochs=max_epochs,
        unmeasured=unmeasured,
        recipe=recipe if isinstance(recipe, str) else "",
    )
    with trained_model_kept(model):
        write_embedding(adata, key_added, model.get_latent_representation(), model, layer=layer, role=_keys.REFERENCE)
    return model


def _training(
    recipe: str | Recipe, penalties: Sequence[Penalty] | None, model_kwargs: Any, plan_kwargs: Any, train_kwargs: Any
) -> ReferenceTraining:
    """Return the training of a recipe, by its name or as it is, with all arguments checked."""
    from scarches_plus import model, train

    train.name_terms(penalties or ())
    known = recipe if isinstance(recipe, model.Recipe) else model.RECIPES[check.choice("recipe", recipe, model.RECIPES)]
    own = None if penalties is None else tuple(penalties)
    return model.ReferenceTraining(known, own, model_kwargs, plan_kwargs, train_kwargs)


def _require_use_of_labels(training: ReferenceTraining, labels_key: str | None, hierarchy: Any) -> None:
    """Raise if the recipe lacks labels, or has no use for a hierarchy of them."""
    if training.on_labels and labels_key is None:
        message = "this recipe trains on labels: pass labels_key=..., or take recipe='scvi'"
        raise ValueError(message)
    if hierarchy is not None and not training.on_labels:
        message = "this recipe does not train on labels, so hierarchy has no use; leave it out, or take recipe='scanvi'"
        raise ValueError(message)


def _require_labels(
    labels: set[str],
    key: str,
    training: ReferenceTraining,
    hierarchy: LabelTree | Mapping[str, str | None] | None,
) -> None:
    """Raise if there is nothing to tell apart, or a label is not in the hierarchy."""
    hierarchy = training.argument("hierarchy") if hierarchy is None else hierarchy
    if len(labels) == 1 and not (hierarchy or training.argument("n_unobserved")):
        message = f"{labels.pop()!r} is the only label in obs[{key!r}], nothing to tell apart: take recipe='scvi'"
        raise ValueError(message)
    if hierarchy is not None:
        LabelTree.of(hierarchy).require(labels, f"labels of obs[{key!r}]")


def _reference_cells(adata: AnnData, spec: ReferenceSpec) -> AnnData:
    """Check the cells and return them as models take them, sharing the counts with ``adata``."""
    from scarches_plus.model import prepare_cells

    key, unlabeled = spec.labels_key, spec.unlabeled_category
    given = None if key is None else names_of(column_of(adata.obs, key))
    report = check_query(adata, spec)
    report.raise_for_problems()
    for problem in report.problems:
        warn(str(problem), UserWarning, stacklevel=3)
    cells = prepare_cells(adata, spec)
    if given is not None:
        cells.obs[key] = np.where(missing(given), str(unlabeled), given)
        if (cells.obs[key] == unlabeled).all():
            message = f"no cell has a label in obs[{key!r}]; pass another column, or leave labels_key out"
            raise ValueError(message)
    return cells
