"""Train a reference model and embed the reference."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal
from warnings import warn

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus import _keys, _limits
from scarches_plus._cells import (
    column_of,
    find_modalities,
    gene_cells,
    is_mudata,
    names_of,
    protein_cells,
    require_writable,
    unmeasured_genes,
    without_label,
)
from scarches_plus._label_tree import LabelTree
from scarches_plus._logging import logger
from scarches_plus._reference import ReferenceSpec
from scarches_plus.pp import QueryError, check_query, select_genes

from ._building._inputs import is_data_module, opened_cells, refuse_without_cells
from ._provenance._embedding_record import write_embedding
from ._provenance.summary import tell_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from anndata.experimental import AnnCollection
    from lightning.pytorch import LightningDataModule
    from mudata import MuData
    from numpy.typing import NDArray

    from scarches_plus.model import SCANVI, SCVI, TOTALVI, Recipe, ReferenceTraining
    from scarches_plus.train import Penalty


def build_reference(  # noqa: PLR0913 (all that a training takes)
    adata: (
        AnnData
        | MuData
        | str
        | Path
        | Sequence[AnnData | str | Path]
        | Mapping[str, AnnData | str | Path]
        | AnnCollection
        | LightningDataModule
    ),
    batch_key: str,
    labels_key: str | None = None,
    *,
    recipe: str | Recipe = "scvi",
    penalties: Sequence[Penalty] | None = None,
    layer: str | None = None,
    n_top_genes: int | None = None,
    protein_key: str | None = None,
    gene_mask: Literal["auto"] | pd.DataFrame | Mapping[str, Sequence[str]] | None = "auto",
    unlabeled_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    hierarchy: LabelTree | Mapping[str, str | None] | None = None,
    categorical_covariate_keys: Sequence[str] = (),
    continuous_covariate_keys: Sequence[str] = (),
    max_epochs: int | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    plan_kwargs: Mapping[str, Any] | None = None,
    train_kwargs: Mapping[str, Any] | None = None,
    key_added: str = _keys.EMBEDDING,
) -> SCVI | SCANVI | TOTALVI:
    """Train a reference model that queries can be mapped onto, and embed the reference.

    Parameters
    ----------
    adata
        Reference cells with raw counts; for recipe ``"totalvi"`` MuData, or AnnData with proteins in ``obsm``. Receives
        ``obsm[key_added]`` and a record in ``uns["scarches_plus"]``; nothing else of it changes. Counts on disk
        (:func:`scarches_plus.pp.open_cells`) are read in parts, every epoch again if they are many
        (:doc:`/guide/disk`). A path is opened so, and ``model.adata`` gets the embedding. So it is for several studies,
        by name or in a list, of paths or AnnData, and for an ``anndata.experimental.AnnCollection``, which are joined
        first (:func:`scarches_plus.pp.concat_studies`). A ``LightningDataModule`` with a ``registry`` (scvi-tools'
        protocol: annbatch, TileDB, your own) trains scVI on its minibatches; nothing is embedded, since there are no
        cells.
    batch_key
        ``obs`` column of batches (studies, technologies, samples). For several studies ``"study"`` names theirs: the
        names of files, or those given. For a data module, the column in queries.
    labels_key
        ``obs`` column of cell types; needed by recipe ``"scanvi"``. Missing values count as unlabelled, and so
        do words of ``unlabelled``: these cells train without a label. totalVI does not train on labels: the model gets
        a summary of them (:func:`scarches_plus.train.summarize_reference`), by which it labels queries without the
        reference's cells.
    recipe
        Name in :data:`scarches_plus.model.RECIPES`, or a :class:`~scarches_plus.model.Recipe`.
    penalties
        Terms to add to the loss, instead of the recipe's; ``()`` for none.
    layer
        Layer with raw counts; ``None`` means ``X``. Proteins in MuData have them there, too, or else in ``X``.
    n_top_genes
        Train on so many genes only, those that vary within batches (:func:`scarches_plus.pp.select_genes`, which can
        protect markers); the model's genes are then these, and queries need no change. ``None``: on all genes.
    protein_key
        For recipe ``"totalvi"``: modality of the proteins in MuData, slot of ``obsm`` (a table with names, or a matrix)
        in AnnData. By default, like the modality of the genes, found by its name (``"rna"``; ``"prot"``, ``"adt"``,
        ``"protein_expression"`` and the like) or by ``var["feature_types"]``. Queries keep proteins under this name.
    gene_mask
        Genes that each batch measured; the others leave the likelihood of its cells, here and wherever the model trains
        again. ``"auto"``: as :func:`scarches_plus.pp.concat_studies` recorded it, if it did. Else batch to the names of
        the genes it measured, or a boolean DataFrame of genes x batches; a batch that is not named measured every gene.
        ``None``: no mask.
    unlabeled_category
        Label of cells without a label.
    unlabelled
        Further words that are no label, as they are spelt; ``()`` makes each a cell type of its own. ``None``:
        "Unknown", "Undetermined", "Mixed" and the other words in :doc:`/guide/labels`, in any case, except labels of
        ``hierarchy``; the log names those that occur, and how many cells train without a label for it.
    hierarchy
        Hierarchy of the labels (:func:`scarches_plus.pp.label_tree`), for recipes of scANVI: cells may have a label at
        any level of it.
    categorical_covariate_keys, continuous_covariate_keys
        Further covariates to correct for.
    max_epochs
        Epochs; ``None`` takes the recipe's, for more than 40,000 cells fewer in proportion, and at least 10, unless the
        recipe says otherwise (``Recipe.epochs_for_any_size``).
    model_kwargs, plan_kwargs, train_kwargs
        Override the recipe's arguments of the model class (for scANVI ``n_unobserved``, too), the training plan and
        ``train``.
    key_added
        ``obsm`` slot of the embedding, shape ``(n_cells, n_latent)``.

    Returns
    -------
    SCVI, SCANVI or TOTALVI
        The trained model. Set ``scvi.settings.seed`` right before for a repeatable result. With penalties that compare
        cells with anchors (:class:`~scarches_plus.train.MMD`), the model carries 2,000 of them
        (:func:`~scarches_plus.train.store_anchors`), which are data of single cells, without counts;
        ``model.forget("anchors")`` removes them, and bundles leave them out unless they are asked for. A model of a
        data module has no anchors, and a summary of labels can be made of cells only.

    Raises
    ------
    QueryError
        If the cells cannot be used, naming every problem and its fix.
    KeyError
        If a column, modality or slot is missing.
    ValueError
        If the recipe needs labels and there are none or just one, or labels are not in the hierarchy, or it needs
        proteins and they are not found, or ``protein_key`` has no use, or there is no such recipe, or ``gene_mask``
        names an unknown batch or gene, or a batch spans studies that measured different genes, or studies cannot be
        joined, or a data module is given with a recipe or an argument for which cells are needed.
    TypeError
        If an argument is of another kind, such as a text where a list is meant, or MuData for a recipe of genes alone.
    """
    from scarches_plus.model import trained_model_kept

    check.texts(batch_key=batch_key, unlabeled_category=unlabeled_category)
    check.texts_or_none(labels_key=labels_key, layer=layer, protein_key=protein_key)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
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
    training = _training(recipe, penalties, model_kwargs, plan_kwargs, train_kwargs)
    if is_data_module(adata):
        refuse_without_cells(
            layer=(layer, None),
            n_top_genes=(n_top_genes, None),
            protein_key=(protein_key, None),
            gene_mask=(gene_mask, "auto"),
            unlabeled_category=(unlabeled_category, _keys.UNKNOWN),
            unlabelled=(unlabelled, None),
            hierarchy=(hierarchy, None),
            categorical_covariate_keys=(categorical_covariate_keys, ()),
            continuous_covariate_keys=(continuous_covariate_keys, ()),
            key_added=(key_added, _keys.EMBEDDING),
        )
        named = recipe if isinstance(recipe, str) else ""
        return training.run_on_module(adata, batch_key, labels_key, max_epochs=max_epochs, recipe=named)
    given, adata = adata, opened_cells(adata, layer)
    require_writable(adata, copy=None)
    _require_use_of_labels(training, labels_key, hierarchy)
    _require_use_of_proteins(training, adata, protein_key)
    spec = ReferenceSpec(
        var_names=tuple(adata.var_names),
        layer=layer,
        batch_key=batch_key,
        labels_key=labels_key,
        unlabeled_category=unlabeled_category,
        categorical_covariates=dict.fromkeys(categorical_covariate_keys, ()),
        continuous_covariates=tuple(continuous_covariate_keys),
    )
    if training.of_proteins:
        spec = _with_proteins(spec, adata, protein_key)
    if n_top_genes is not None:
        spec = replace(spec, var_names=_variable_genes(adata, spec, n_top_genes))
    tree = training.argument("hierarchy") if hierarchy is None else hierarchy
    in_tree = () if tree is None else LabelTree.of(tree).nodes
    cells = _reference_cells(adata, spec, partial(without_label, unlabelled=unlabelled, known=in_tree))
    if training.on_labels:
        _require_labels(set(cells.obs[labels_key]) - {unlabeled_category}, str(labels_key), training, hierarchy)
    unmeasured = unmeasured_genes(cells, cells.obs[batch_key].to_numpy(), gene_mask)
    logger.info(
        "counts are %s, batches obs[%r], labels %s%s%s",
        "X" if layer in {None, "X"} else f"layers[{layer!r}]", batch_key,
        f"obs[{labels_key!r}]" if training.on_labels or (training.of_proteins and labels_key) else "not used",
        f", {len(spec.proteins)} proteins in {spec.modalities['proteins']!r}" if training.of_proteins else "",
        "; genes that a batch did not measure leave its likelihood" if unmeasured else "",
    )  # fmt: skip
    start = perf_counter()
    model = training.run(
        cells,
        adata,
        spec,
        hierarchy=hierarchy,
        max_epochs=max_epochs,
        unmeasured=unmeasured,
        recipe=recipe if isinstance(recipe, str) else "",
    )
    with trained_model_kept(model):
        receiver = adata if given is adata else model.adata
        latent = model.get_latent_representation()
        columns = {"batch_key": batch_key, "labels_key": labels_key or ""}
        record = {**_training_record(model, adata, perf_counter() - start), **columns}
        write_embedding(receiver, key_added, latent, model, layer=layer, role=_keys.REFERENCE, training=record)
    tell_outcome(receiver, _keys.EMBEDDINGS, key_added)
    return model


def _training_record(model: SCVI | SCANVI | TOTALVI, adata: AnnData | MuData, seconds: float) -> dict[str, Any]:
    """Return what was trained, as the cells keep it."""
    return {
        "recipe": model.state.recipe,
        "cells": adata.n_obs,
        "genes": len(model.spec.var_names),
        "batches": len(model.spec.batches),
        "epochs": int(model.history["elbo_train"].index[-1]) + 1,
        "seconds": seconds,
    }


def _training(
    recipe: str | Recipe, penalties: Sequence[Penalty] | None, model_kwargs: Any, plan_kwargs: Any, train_kwargs: Any
) -> ReferenceTraining:
    """Return the training of a recipe, by its name or as it is, with all arguments checked."""
    from scarches_plus import model, train

    train.name_terms(penalties or ())
    own = None if penalties is None else tuple(penalties)
    return model.ReferenceTraining(recipe, own, model_kwargs, plan_kwargs, train_kwargs)  # type: ignore[arg-type]


def _require_use_of_labels(training: ReferenceTraining, labels_key: str | None, hierarchy: Any) -> None:
    """Raise if the recipe lacks labels, or has no use for a hierarchy of them."""
    if training.on_labels and labels_key is None:
        message = "this recipe trains on labels: pass labels_key=..., or take recipe='scvi'"
        raise ValueError(message)
    if hierarchy is not None and not training.on_labels:
        message = "this recipe does not train on labels, so hierarchy has no use; leave it out, or take recipe='scanvi'"
        raise ValueError(message)


def _require_use_of_proteins(training: ReferenceTraining, adata: AnnData | MuData, protein_key: str | None) -> None:
    """Raise if a recipe of genes alone is given more."""
    if training.of_proteins:
        return
    if is_mudata(adata):
        message = (
            "this recipe is for genes alone, and adata is MuData: pass their modality, such as mdata.mod['rna'], with "
            "the columns of batches and labels in its obs; or take recipe='totalvi' for genes and proteins"
        )
        raise TypeError(message)
    if protein_key is not None:
        message = "this recipe is for genes alone, so protein_key has no use; leave it out, or take recipe='totalvi'"
        raise ValueError(message)


def _with_proteins(spec: ReferenceSpec, adata: AnnData | MuData, protein_key: str | None) -> ReferenceSpec:
    """Return what is said of the reference together with where its genes and proteins are."""
    spec = replace(spec, modalities=find_modalities(adata, protein_key))
    genes = adata.mod[spec.modalities["genes"]] if is_mudata(adata) else adata  # type: ignore[union-attr]
    proteins: Any = protein_cells(adata, spec)
    in_layer = is_mudata(adata) and spec.layer in set(proteins.layers)
    return replace(
        spec,
        var_names=tuple(genes.var_names),
        proteins=tuple(map(str, proteins.var_names)),
        protein_layer=spec.layer if in_layer else None,
    )


def _variable_genes(adata: AnnData | MuData, spec: ReferenceSpec, n: int) -> tuple[str, ...]:
    genes = gene_cells(adata, spec)
    n = check.whole("n_top_genes", n, least=1, most=max(1, genes.n_vars))
    try:
        return select_genes(genes, str(spec.batch_key), n, layer=spec.layer, inplace=False).genes
    except QueryError:
        raise
    except ValueError as error:  # whose advice names arguments of select_genes
        layer = f", layer={spec.layer!r}" if spec.layer else ""
        message = (
            f"n_top_genes={n}: {error}. To choose genes otherwise, call selection = sp.pp.select_genes(adata, "
            f"{spec.batch_key!r}, n, min_cells=..., flavor=...{layer}) and pass adata[:, list(selection.genes)] "
            "without n_top_genes"
        )
        raise ValueError(message) from error


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


def _reference_cells(
    adata: AnnData | MuData, spec: ReferenceSpec, unlabelled: Callable[..., NDArray[np.bool_]]
) -> AnnData:
    """Check the cells and return them as models take them, sharing the counts with ``adata``."""
    from scarches_plus.model import prepare_cells

    key, unlabeled = spec.labels_key, spec.unlabeled_category
    report = check_query(adata, spec)
    report.raise_for_problems()
    for problem in report.problems:
        warn(str(problem), UserWarning, stacklevel=3)
    genes = gene_cells(adata, spec)
    cells = prepare_cells(genes, spec)
    if key is not None:
        given = names_of(column_of(genes.obs, key))
        cells.obs[key] = np.where(
            unlabelled(given, always=[str(unlabeled)], where=f"obs[{key!r}]"), str(unlabeled), given
        )
        if (cells.obs[key] == unlabeled).all():
            message = f"no cell has a label in obs[{key!r}]; pass another column, or leave labels_key out"
            raise ValueError(message)
    return cells
