"""Perform architecture surgery: make a query model from a reference model."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from scvi.data._constants import _SCVI_UUID_KEY

from scarches_plus import _arguments as check
from scarches_plus._cells import gene_cells, name_of, unmeasured_genes
from scarches_plus._logging import libraries_quiet, logger
from scarches_plus._settings import accelerator_for
from scarches_plus.model._registration._multimodal import registrable
from scarches_plus.model._registration._query_columns import prepare_cells
from scarches_plus.model._registration._registry import (
    n_categories,
    reference_spec,
    require_model,
    with_all_labels,
    with_text_categories,
)
from scarches_plus.model._state import ModelState, Surgery, get_state, hash_of, set_state, update_state
from scarches_plus.train import name_terms

from ._inherit_memory import inherit_memory
from ._own_penalties import own_penalties
from ._strategies import (
    STRATEGIES,
    as_lists,
    grow,
    grow_importance,
    n_trainable,
    parameters_in_use,
    reference_change,
    select_entries,
)
from .inherited_training import InheritedTraining, inherited_training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from mudata import MuData
    from scvi.model.base import BaseModelClass

    from scarches_plus._reference import ReferenceSpec
    from scarches_plus.train import Penalty

    from ._strategies import Strategy

#: Where a model remembers how its query's cells were read; scvi-tools saves attributes that end in an underscore.
QUERY = "query_cells_"
#: Most names of tensors in a note.
_MOST_NAMES = 3


class SurgeryMixin:
    """``load_query_data`` by strategy."""

    @classmethod
    @libraries_quiet()
    def load_query_data(
        cls,
        adata: AnnData | MuData,
        reference_model: BaseModelClass | str | Path,
        *,
        strategy: Strategy = "condition",
        train_reference_columns: bool = False,
        shared_batches: Sequence[str] = (),
        use_query_labels: bool = False,
        layer: str | None = None,
        batch_key: str | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
    ) -> Any:
        """Make a query model from a reference model by architecture surgery (scArches).

        Genes are put into the reference's order; those the query lacks are filled with zeros and left out of the
        likelihood. ``adata`` itself is not changed: the model holds its own copy of ``obs``, and shares the counts
        where genes agree.

        Parameters
        ----------
        adata
            Query cells with raw counts.
        reference_model
            Model of this package or of scvi-tools, or a folder with a saved one. It is not changed.
        strategy
            What trains. ``"condition"``: only the columns of new categories, in every layer that has such columns, and
            their dispersion if that is per batch. ``"input_layers"``: also the first layer of encoder and decoder.
            ``"all"``: everything.
        train_reference_columns
            Also train the columns of the reference's own categories, the paper's (n + m)(p + q) parameters. The
            reference can then move: it does with shared batches or weight decay.
        shared_batches
            Batches of the query that are the reference's own batches of the same name. Without this, a name that
            occurs in both is an error, since training would overwrite the reference's batch.
        use_query_labels
            Let the query's labels, where the reference knows them, take part in scANVI's training.
        layer, batch_key
            Where the query keeps counts (``"X"`` for ``adata.X``) and batches, if not where the reference does.
        accelerator, device
            As in scvi-tools.

        Returns
        -------
        The query model, to be trained with :meth:`train`.

        Raises
        ------
        ValueError
            If nothing would train, or the latent space could not move, or a batch name is used twice, or labels are to
            be used and there are none that the reference knows.
        KeyError
            If a column or layer the reference expects is missing.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.

        Notes
        -----
        Lotfollahi et al. 2021 (scArches). The paper names both "(n + m) x (p + q)" trained parameters and "all other
        weights frozen"; the default trains the new columns only, so that the reference cannot move.
        """
        check.cells("adata", adata, mudata=True)
        check.choice("strategy", strategy, STRATEGIES)
        shared_batches = check.names("shared_batches", shared_batches, of=object)
        check.texts_or_none(layer=layer, batch_key=batch_key)
        check.flags(train_reference_columns=train_reference_columns, use_query_labels=use_query_labels)
        accelerator = accelerator_for(accelerator)
        if isinstance(reference_model, str | Path):
            reference_model = cls.load(reference_model, adata=False)  # type: ignore[attr-defined]
        require_model("reference_model", reference_model)
        _refuse_loaders_own_registry(reference_model)
        reference = with_all_labels(with_text_categories(reference_model))
        spec = reference_spec(reference)
        prepared = prepare_cells(
            gene_cells(adata, spec, batch_key), spec, layer=layer, batch_key=batch_key, use_labels=use_query_labels
        )
        batches = [] if spec.batch_key is None else sorted(set(prepared.obs[spec.batch_key]))
        _refuse_reused_names(batches, spec, shared_batches)
        if strategy == "condition":
            _refuse_unmovable_latent(spec)
        before = get_state(reference)
        _warn_of_old_importance(reference, before)
        unmeasured = _unmeasured(prepared, spec, before)

        model = super().load_query_data(  # type: ignore[misc]
            registrable(prepared, adata, spec), reference, unfrozen=True, accelerator=accelerator, device=device
        )
        release_cells_with(model)
        sizes = n_categories(reference), n_categories(model)
        weights, fresh, conditional = grow(model.module, reference.module.state_dict(), *sizes)
        model.module.load_state_dict(weights)
        model.module.eval()
        state = ModelState(
            before.space,
            hash_of(model),
            unmeasured=unmeasured,
            lineage=before.lineage,
            training=before.training,
            importance=before.importance and grow_importance(before.importance, model.module, *sizes),
            anchors=before.anchors if before.anchors and before.anchors.space == before.space else None,
            summaries={key: one for key, one in before.summaries.items() if one.space == before.space},
            recipe=before.recipe,
            origin=before.origin,
        )
        set_state(model, state)

        with torch.random.fork_rng(devices=[]):  # looking must not change what training draws
            in_use = parameters_in_use(model.module, _first_cells(model))
        entries = select_entries(
            model.module,
            strategy,
            fresh,
            conditional,
            train_reference_columns=train_reference_columns,
            in_use=in_use,
        )
        if not entries:
            message = (
                f"nothing would train: the batches of the query ({batches}) are all batches of the reference. "
                "Embed the cells with sp.tl.embed, pass train_reference_columns=True or another strategy, or rename "
                "them if the reference knows the name but has no such cells"
            )
            raise ValueError(message)
        for name, parameter in model.module.named_parameters():
            parameter.requires_grad_(name in entries)
        surgery = Surgery(
            strategy=strategy,
            train_reference_columns=train_reference_columns,
            n_trainable=n_trainable(model.module, entries),
            n_total=sum(parameter.numel() for name, parameter in model.module.named_parameters() if name in in_use),
            entries=as_lists(entries),
            reference_hash=hash_of(reference),
        )
        update_state(model, surgery=surgery)
        setattr(model, QUERY, {"layer": layer, "batch_key": batch_key, "use_query_labels": use_query_labels})
        logger.info(
            "surgery %r trains %d of %d parameters in %d tensors, such as %s",
            strategy, surgery.n_trainable, surgery.n_total, len(entries), ", ".join(sorted(entries)[:_MOST_NAMES]),
        )  # fmt: skip
        return model

    def inherited_training(self) -> InheritedTraining:
        """Return how the reference of this query model was trained, as far as it applies to the query's training.

        :func:`scarches_plus.tl.map_query` trains so, unless it is told otherwise; :meth:`train` does as it is told.

        Returns
        -------
        InheritedTraining
            Penalties, ``plan_kwargs`` and ``train_kwargs`` for :meth:`train`, and which penalties do not apply, with
            the reasons.

        References
        ----------
        Lotfollahi et al. 2021 (scArches), eq. 12-14: surgery minimises the cost of the reference.
        """
        return inherited_training(self)

    def own_penalties(self, penalties: Sequence[Penalty] = ()) -> tuple[Penalty, ...]:
        """Return the penalties that this query model's surgery brings along, beside those that a user names.

        Where scANVI's classifier, or what it reads, trains on a query without labels
        (:class:`~scarches_plus.train.LabelReplay`), if the model carries anchors or a summary of its latent space.

        Parameters
        ----------
        penalties
            Those of the user, of which none is brought along once more.
        """
        name_terms(penalties)
        named = {penalty.name for penalty in penalties}
        return tuple(own for own in own_penalties(self) if own.name not in named)  # type: ignore[arg-type]

    def inherit_memory(self, reference_model: BaseModelClass, *, stacklevel: int = 2) -> None:
        """Carry anchors and summaries of labels from the reference into this model's latent space, after its training.

        Parameters
        ----------
        reference_model
            Model that this one was made from.
        stacklevel
            Of the warning; 2 is the caller.

        Warns
        -----
        UserWarning
            If the latent space moved and anchors or summaries cannot be taken along (``gene_likelihood`` ``"mse"`` and
            ``"sse"``).
        """
        require_model("reference_model", reference_model)
        inherit_memory(self, reference_model, stacklevel=stacklevel + 1)  # type: ignore[arg-type]


def _refuse_loaders_own_registry(reference: BaseModelClass) -> None:
    """Raise for a model of a data module that made its registry itself: it does not say how a query has to look."""
    if reference.registry_.get("setup_method_name") == "setup_datamodule":
        message = (
            "the reference was trained by a data module with a registry of its own (setup_datamodule), onto which "
            "scvi-tools maps no AnnData; build the reference by sp.tl.build_reference(module, batch_key), which makes "
            "one that takes queries, or write its cells into a store (sp.pp.write_store) and build of that"
        )
        raise ValueError(message)


def _warn_of_old_importance(reference: BaseModelClass, state: ModelState) -> None:
    """Warn if a reference was trained on since its importance was estimated.

    A query model is held at its reference.
    """
    if state.importance is None or state.surgery is not None:
        return
    weights = reference.module.state_dict()
    if any(not torch.equal(weights[name].cpu(), values) for name, values in state.importance.values.items()):
        logger.warning(
            "the reference was trained on since its importance was estimated, so EWC would pull it back to the weights "
            "of that time; call sp.train.estimate_importance(reference_model) again"
        )


def weight_change(reference: BaseModelClass, mapped: BaseModelClass) -> float:
    """Return the largest change of any weight of the reference in a model mapped onto it; 0.0 if every bit is kept."""
    return reference_change(
        mapped.module,
        reference.module.state_dict(),
        n_categories(with_text_categories(reference)),
        n_categories(mapped),
    )


def release_cells_with(model: Any) -> None:
    """Let scvi-tools forget cells that only this model holds once the model is gone."""
    uuid = model.adata.uns[_SCVI_UUID_KEY]
    weakref.finalize(model, _forget, type(model), model.id, uuid)


def _forget(cls: Any, model_id: str, uuid: str) -> None:
    cls._setup_adata_manager_store.pop(uuid, None)
    cls._per_instance_manager_store.pop(model_id, None)


def forget_cells(model: Any, adata: AnnData) -> None:
    """Let scvi-tools forget cells that a model was only asked about."""
    uuid = adata.uns.get(_SCVI_UUID_KEY)
    type(model)._per_instance_manager_store.get(model.id, {}).pop(uuid, None)


def _unmeasured(prepared: AnnData, spec: ReferenceSpec, before: ModelState) -> dict[str, list[int]]:
    if spec.batch_key is None:  # there is one batch, and its likelihood is the query's from here on
        (batch,) = spec.batches
        return before.unmeasured | unmeasured_genes(prepared, [batch] * prepared.n_obs)
    unmeasured = unmeasured_genes(prepared, prepared.obs[spec.batch_key].to_numpy())
    shared = {batch: genes for batch, genes in unmeasured.items() if batch in spec.batches}
    for batch, genes in shared.items():
        lacking = set(genes) - set(before.unmeasured.get(batch, ()))
        if lacking:
            message = (
                f"batch {batch!r} is shared with the reference, which measured {len(lacking)} genes that the query "
                "lacks; pass all genes of these cells, or name the batch anew"
            )
            raise ValueError(message)
    return before.unmeasured | {batch: genes for batch, genes in unmeasured.items() if batch not in shared}


def _refuse_reused_names(batches: list[str], spec: ReferenceSpec, shared: Sequence[str]) -> None:
    shared = [name_of(batch) for batch in shared]
    stray = sorted(set(shared) - (set(batches) & set(spec.batches)))
    if stray:
        message = f"shared_batches {stray} are not batches of both query {batches} and reference {list(spec.batches)}"
        raise ValueError(message)
    reused = sorted((set(batches) & set(spec.batches)) - set(shared))
    if reused:
        message = (
            f"batches {reused} of the query have the names of batches of the reference. If they are the same batches, "
            f"pass shared_batches={reused}; if not, rename them in obs[{spec.batch_key!r}]"
        )
        raise ValueError(message)


def _refuse_unmovable_latent(spec: ReferenceSpec) -> None:
    if spec.batch_key is None:
        message = (
            "the reference was set up without a batch_key, so surgery has no column to add. Train the reference with "
            "batch_key=..., or use strategy='input_layers' or 'all'"
        )
        raise ValueError(message)
    if not spec.encodes_batch:
        message = (
            "the reference's encoder does not see the batch (encode_covariates=False, the default of scvi-tools), so "
            "strategy='condition' would leave the query's latent representation exactly where it is. Embed the cells "
            "without training (sp.tl.embed), train the reference with encode_covariates=True, or use "
            "strategy='input_layers' or 'all'"
        )
        raise ValueError(message)


def _first_cells(model: Any, n_cells: int = 32) -> dict[str, torch.Tensor]:
    indices = range(min(n_cells, model.adata.n_obs))
    loader = model._make_data_loader(adata=model.adata, indices=list(indices), batch_size=n_cells)
    return {key: value.to(model.device) for key, value in next(iter(loader)).items()}
