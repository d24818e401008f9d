"""What the model classes of this package add to those of scvi-tools."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from scvi import settings
from scvi.data._constants import _SCVI_UUID_KEY
from scvi.dataloaders import AnnDataLoader
from scvi.module._constants import MODULE_KEYS

from scarches_plus._logging import logger
from scarches_plus.train import TrainingPlan

from ._prepare import prepare_cells, unmeasured_genes
from ._spec import n_categories, reference_spec
from ._state import (
    ATTRIBUTE,
    ModelState,
    Surgery,
    apply_gene_mask,
    get_state,
    hash_of,
    set_state,
    space_of,
    update_state,
)
from ._surgery import STRATEGIES, grow, n_trainable, parameters_in_use, select_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from scvi.model.base import BaseModelClass

    from scarches_plus._reference import ReferenceSpec

    from ._surgery import Entries, Strategy


#: Cells per step when embedding; no gradients are kept, so a large one only saves overhead.
_EMBEDDING_BATCH_SIZE = 1024
_TRAIN_SHARE = 0.9
_SMALLEST_MINIBATCH = 3


class _NoCells:
    """Answers for the cells of a model that is built without any."""

    data_registry: ClassVar[dict[str, Any]] = {}

    @staticmethod
    def get_from_registry(_: str) -> np.ndarray:
        return np.empty((0, 1))


class ReferenceMixin:
    """Surgery by strategy, exact freezing, explicit modes and a memory of both, for a model of scvi-tools.

    Stands before the scvi-tools class in the list of bases. The class keeps scvi-tools' name, by which both packages
    recognise saved models.
    """

    _training_plan_cls = TrainingPlan

    @property
    def adata_manager(self) -> Any:
        """Manager of the model's cells, ``None`` without cells.

        While the network is built, scvi-tools asks it for library sizes even if there are no cells.
        """
        building = "module" not in vars(self)
        return _NoCells() if building and self._adata_manager is None else self._adata_manager  # type: ignore[attr-defined]

    @property
    def spec(self) -> ReferenceSpec:
        """What a query must bring to be mapped onto this model."""
        return reference_spec(self)  # type: ignore[arg-type]

    @property
    def state(self) -> ModelState:
        """What this package remembers about the model: latent space, surgery, gene masks, lineage."""
        return get_state(self)  # type: ignore[arg-type]

    @property
    def surgery(self) -> Surgery | None:
        """How this model was made from its reference; ``None`` if it was trained from scratch."""
        return self.state.surgery

    def train(
        self,
        *args: Any,
        module_mode: Literal["train", "eval"] | None = None,
        plan_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Train the model; a query model trains exactly what its surgery left free.

        Parameters
        ----------
        *args
            Passed to the ``train`` of scvi-tools; the first is ``max_epochs``.
        module_mode
            ``"train"``: dropout and batch statistics are live. ``"eval"``: the network is deterministic. Default:
            ``"eval"`` for the strategies ``"condition"`` and ``"input_layers"`` (what scvi-tools does, unsaid, in every
            surgery), else ``"train"`` (which scvi-tools does in the first training of a model only).
        plan_kwargs
            Passed to the training plan, for example ``{"weight_decay": 0.0, "lr": 1e-3}``.
        **kwargs
            Passed to the ``train`` of scvi-tools.

        Raises
        ------
        KeyboardInterrupt
            If the user stops the training. The model then holds the weights of the last step and can be trained on.
        """
        surgery = self.surgery
        partial = surgery is not None and surgery.strategy != "all"
        plan_kwargs = {
            "module_mode": module_mode or ("eval" if partial else "train"),
            "freeze_norms": partial,
            **(plan_kwargs or {}),
        }
        if surgery is not None:
            plan_kwargs["entries"] = _as_tensors(surgery.entries)
        if self.adata is not None and kwargs.get("datamodule") is None:  # type: ignore[attr-defined]
            _set_sizes(kwargs, self.adata.n_obs)  # type: ignore[attr-defined]
        self.module.train()  # type: ignore[attr-defined]  # the plan sets the mode; lightning warns of any other start
        try:
            super().train(*args, plan_kwargs=plan_kwargs, **kwargs)  # type: ignore[misc]
        except SystemExit as stop:
            if not isinstance(stop.__context__, KeyboardInterrupt):
                raise
            # lightning turns Ctrl-C into an exit of the whole process
            self.module.eval()  # type: ignore[attr-defined]
            self._remember_space(surgery)
            message = "training was interrupted; the model holds the weights of the last step"
            raise KeyboardInterrupt(message) from stop
        self._remember_space(surgery)

    def _remember_space(self, surgery: Surgery | None) -> None:
        if surgery is None or surgery.strategy != "condition" or surgery.train_reference_columns:
            update_state(self, space=space_of(self))  # type: ignore[arg-type]

    def save(self, dir_path: str | Path, *args: Any, overwrite: bool = False, **kwargs: Any) -> None:
        """Save the model; a folder that is there already changes only once everything is written.

        Parameters
        ----------
        dir_path
            Folder to write.
        *args, **kwargs
            Passed to the ``save`` of scvi-tools.
        overwrite
            Replace what is there.

        Raises
        ------
        FileExistsError
            If the folder exists and ``overwrite`` is not set.
        """
        folder = Path(dir_path)
        if folder.exists() and not overwrite:
            message = f"{folder} exists; choose another folder or pass overwrite=True"
            raise FileExistsError(message)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            super().save(temporary, *args, overwrite=True, **kwargs)  # type: ignore[misc]
            folder.mkdir(exist_ok=True)
            for file in Path(temporary).iterdir():
                file.replace(folder / file.name)

    @classmethod
    def load(cls, dir_path: str | Path, adata: AnnData | None = None, *args: Any, **kwargs: Any) -> Any:
        """Load a saved model, of this package or of scvi-tools.

        Parameters
        ----------
        dir_path
            Folder that ``save`` wrote. It holds a pickle: load only what you trust.
        adata
            The cells the model was trained on. ``None`` takes those saved with the model; ``False`` loads without
            cells, which is enough to map a query.
        *args, **kwargs
            Passed to the ``load`` of scvi-tools.
        """
        with torch.random.fork_rng(devices=[]):  # a fresh network is drawn, only to be overwritten
            model = super().load(str(dir_path), adata, *args, **kwargs)  # type: ignore[misc]
        if getattr(model, ATTRIBUTE, None) is not None:
            apply_gene_mask(model, get_state(model))
        return model

    @classmethod
    def load_query_data(
        cls,
        adata: AnnData,
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
        likelihood. ``adata`` itself is not changed: the model holds its own copy of ``obs``, and shares the counts where
        genes agree.

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
            Where the query keeps counts and batches, if not where the reference does.
        accelerator, device
            As in scvi-tools.

        Returns
        -------
        The query model, to be trained with :meth:`train`.

        Raises
        ------
        ValueError
            If nothing would train, or the latent space could not move, or a batch name is used twice.
        KeyError
            If a column or layer the reference expects is missing.

        Notes
        -----
        Lotfollahi et al. 2021 (scArches). The paper names both "(n + m) x (p + q)" trained parameters and "all other
        weights frozen"; the default trains the new columns only, so that the reference cannot move.
        """
        if strategy not in STRATEGIES:
            message = f"strategy must be one of {STRATEGIES}, not {strategy!r}"
            raise ValueError(message)
        reference = (
            cls.load(reference_model, adata=False) if isinstance(reference_model, str | Path) else reference_model
        )
        spec = reference_spec(reference)
        prepared = prepare_cells(adata, spec, layer=layer, batch_key=batch_key, use_labels=use_query_labels)
        batches = _query_batches(prepared, spec)
        _refuse_reused_names(batches, spec, shared_batches)
        if strategy == "condition":
            _refuse_unmovable_latent(spec)

        model = super().load_query_data(  # type: ignore[misc]
            prepared, reference, unfrozen=True, accelerator=accelerator, device=device
        )
        weights, fresh, conditional = grow(
            model.module, reference.module.state_dict(), n_categories(reference), n_categories(model)
        )
        model.module.load_state_dict(weights)
        model.module.eval()

        before = get_state(reference)
        unmeasured = before.unmeasured | unmeasured_genes(prepared, batches, spec)
        set_state(model, ModelState(before.space, unmeasured=unmeasured, lineage=before.lineage))
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
                "Embed the cells with sp.tl.embed, or pass train_reference_columns=True or another strategy"
            )
            raise ValueError(message)
        for name, parameter in model.module.named_parameters():
            parameter.requires_grad_(name in entries)
        surgery = Surgery(
            strategy=strategy,
            train_reference_columns=train_reference_columns,
            n_trainable=n_trainable(model.module, entries),
            n_total=sum(parameter.numel() for name, parameter in model.module.named_parameters() if name in in_use),
            entries=_as_lists(entries),
            reference_hash=hash_of(reference),
        )
        update_state(model, surgery=surgery)
        logger.info(
            "surgery %r trains %d of %d parameters in %s",
            strategy,
            surgery.n_trainable,
            surgery.n_total,
            sorted(entries),
        )
        return model

    def embed(self, adata: AnnData, *, layer: str | None = None, batch_key: str | None = None) -> np.ndarray:
        """Return the latent means of cells whose batches the model knows.

        Parameters
        ----------
        adata
            Cells; not changed. Genes are put into the model's order.
        layer, batch_key
            Where the cells keep counts and batches, if not where the reference does.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_cells, n_latent)``.

        Raises
        ------
        ValueError
            If the model knows a batch of these cells not; map them first.
        """
        if self.surgery is None:  # a query model is of use before it is trained, by its reference's weights
            self._check_if_trained(warn=False)  # type: ignore[attr-defined]
        spec = self.spec
        prepared = prepare_cells(adata, spec, layer=layer, batch_key=batch_key)
        unknown = [batch for batch in _query_batches(prepared, spec) if batch not in spec.batches]
        if unknown:
            message = (
                f"the model knows no batches {unknown}, only {list(spec.batches)}; map these cells with "
                "sp.tl.map_query first"
            )
            raise ValueError(message)
        cls = type(self)
        cls.setup_anndata(prepared, source_registry=self.registry_, **self.registry_["setup_args"])  # type: ignore[attr-defined]
        manager = cls._setup_adata_manager_store.pop(prepared.uns[_SCVI_UUID_KEY])  # type: ignore[attr-defined]
        loader = AnnDataLoader(manager, shuffle=False, batch_size=_EMBEDDING_BATCH_SIZE)
        module = self.module.eval()  # type: ignore[attr-defined]
        with torch.inference_mode():
            means = [module.inference(**module._get_inference_input(cells))[MODULE_KEYS.QZ_KEY].loc for cells in loader]
        return torch.cat(means).cpu().numpy()


def _set_sizes(kwargs: dict[str, Any], n_cells: int) -> None:
    """Choose the share of training cells such that no minibatch has one or two cells, and how often lightning logs.

    Left alone, scvi-tools would choose the same share and warn of it, and lightning would warn of small data.
    """
    batch_size = kwargs.get("batch_size") or settings.batch_size
    n_train = ceil((kwargs.get("train_size") or _TRAIN_SHARE) * n_cells)
    if kwargs.get("train_size") is None:
        rest = n_train % batch_size
        if 0 < rest < _SMALLEST_MINIBATCH and n_train > rest:
            n_train -= rest
        kwargs["train_size"] = (n_train - 0.5) / n_cells  # scvi-tools rounds up
    kwargs.setdefault("log_every_n_steps", min(10, ceil(n_train / batch_size)))


def _query_batches(prepared: AnnData, spec: ReferenceSpec) -> list[str]:
    return [] if spec.batch_key is None else sorted(set(prepared.obs[spec.batch_key]))


def _refuse_reused_names(batches: list[str], spec: ReferenceSpec, shared: Sequence[str]) -> None:
    if isinstance(shared, str):
        message = f"shared_batches must be a sequence of names, not the text {shared!r}"
        raise TypeError(message)
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
            "strategy='condition' would leave the query's latent representation exactly where it is. Train the "
            "reference with encode_covariates=True, or use strategy='input_layers' or 'all'"
        )
        raise ValueError(message)


def _first_cells(model: Any, n_cells: int = 32) -> dict[str, torch.Tensor]:
    indices = range(min(n_cells, model.adata.n_obs))
    loader = model._make_data_loader(adata=model.adata, indices=list(indices), batch_size=n_cells)
    return {key: value.to(model.device) for key, value in next(iter(loader)).items()}


def _as_lists(entries: Entries) -> dict[str, tuple[int, list[int]] | None]:
    return {name: None if where is None else (where[0], where[1].tolist()) for name, where in entries.items()}


def _as_tensors(entries: dict[str, tuple[int, list[int]] | None]) -> Entries:
    return {name: None if where is None else (where[0], torch.tensor(where[1])) for name, where in entries.items()}
