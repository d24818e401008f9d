"""Define totalVI as a reference model."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import numpy as np
import scvi.model
from scvi import REGISTRY_KEYS

from scarches_plus import _arguments as check
from scarches_plus._load import load_as
from scarches_plus._logging import libraries_quiet, logger
from scarches_plus._options import by_name, check_network, extends
from scarches_plus.module import TOTALVAE
from scarches_plus.train import AdversarialTrainingPlan

from ._mixins._mixin import ReferenceMixin
from ._mixins._setup import checked_setup
from ._registration._groupings import registered
from ._registration._multimodal import columns_stay_where_they_are
from ._registration._registry import modalities_of, require_model, spec_of_registry
from ._saved._stand_ins import stand_ins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from anndata import AnnData
    from mudata import MuData

_MASK = "protein_batch_mask"
#: Arguments of the training plan that scvi-tools' ``train`` has, too.
_OF_TRAIN = {"lr", "adversarial_classifier", "reduce_lr_on_plateau", "n_epochs_kl_warmup", "n_steps_kl_warmup"}


class TOTALVI(ReferenceMixin, scvi.model.TOTALVI):
    """:class:`scvi.model.TOTALVI` that maps queries by strategy and can prove that the reference did not move.

    Cells come as MuData, registered with ``TOTALVI.setup_mudata``; :func:`scarches_plus.tl.build_reference` with recipe
    ``"totalvi"`` takes AnnData with proteins in ``obsm``, too. Everything of scvi-tools' class works, and files open in
    both packages. A query may lack genes, which leave the likelihood, and proteins, even all of them (AnnData of genes,
    or MuData without the modality): the model predicts those.

    Parameters
    ----------
    adata
        Cells that ``TOTALVI.setup_mudata`` registered.
    n_latent, gene_dispersion, protein_dispersion, gene_likelihood, latent_distribution
        As in scvi-tools.
    empirical_protein_background_prior, override_missing_proteins
        As in scvi-tools.
    model_kwargs
        As in scvi-tools. For references, set ``use_layer_norm="both"`` and ``use_batch_norm="none"``, as recipe
        ``"totalvi"`` does.

    References
    ----------
    Gayoso et al. 2021 (totalVI); Lotfollahi et al. 2021 (scArches), Fig. 4.
    """

    _module_cls = TOTALVAE
    _training_plan_cls = AdversarialTrainingPlan

    @extends(scvi.model.TOTALVI.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        make = super().__init__
        make(**check_network(by_name(make, args, kwargs), type(self), TOTALVAE, name="TOTALVI"))

    @classmethod
    def setup_anndata(cls, *args: Any, **kwargs: Any) -> None:
        """Refuse AnnData.

        Parameters
        ----------
        *args, **kwargs
            Whatever is given.

        Raises
        ------
        NotImplementedError
            Always.
        """
        message = (
            "sp.model.TOTALVI takes MuData, with genes and proteins as modalities: TOTALVI.setup_mudata(mdata, ...). "
            "For AnnData with proteins in obsm: sp.tl.build_reference(adata, batch_key, recipe='totalvi')"
        )
        raise NotImplementedError(message)

    @classmethod
    @libraries_quiet()
    def setup_mudata(cls, mdata: MuData, *args: Any, panel_key: str | None = None, **kwargs: Any) -> None:
        """Register cells, as scvi-tools does.

        Parameters
        ----------
        mdata
            Cells with raw counts of genes and proteins.
        panel_key
            Refused: after surgery scvi-tools would not know the panel of a new batch.
        *args, **kwargs
            As in scvi-tools.

        Raises
        ------
        NotImplementedError
            If there is a ``panel_key``.
        """
        check.cells("mdata", mdata, mudata=True)
        if panel_key is not None:
            message = "panel_key is not supported; proteins that a batch did not measure may be 0 in all of its cells"
            raise NotImplementedError(message)
        with columns_stay_where_they_are():
            setup = super().setup_mudata
            setup(**checked_setup(by_name(setup, (mdata, *args), kwargs)))

    def train(self, *args: Any, plan_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Train the model as :meth:`SCVI.train` does.

        Parameters
        ----------
        *args, **kwargs
            As in :meth:`SCVI.train`, with totalVI's own arguments of scvi-tools.
        plan_kwargs
            Passed to the training plan. scvi-tools overwrites some of them, such as ``"lr"``, with arguments of its
            ``train``; here those given hold.
        """
        check.mapping("plan_kwargs", plan_kwargs or {})
        plan = dict(plan_kwargs or {})
        for name in _OF_TRAIN & set(plan) - set(kwargs):
            kwargs[name] = plan.pop(name)
        super().train(*args, plan_kwargs=plan, **kwargs)

    def embed(self, adata: AnnData | MuData, *, layer: str | None = None, batch_key: str | None = None) -> np.ndarray:
        """Return the latent means of cells, without training.

        Parameters
        ----------
        adata
            Cells of batches that the model knows, as :meth:`load_query_data` takes them; not changed.
        layer, batch_key
            Where the cells keep counts of genes (``"X"`` for ``X``) and batches, if not where the reference does.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_cells, n_latent)``.

        Raises
        ------
        ValueError
            If the model does not know a batch or category of the cells; map such cells first.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.
        """
        check.cells("adata", adata, mudata=True)
        check.texts_or_none(layer=layer, batch_key=batch_key)
        return self._means_of_checked(adata, layer, batch_key)

    def _means_of_checked(self, adata: Any, layer: str | None, batch_key: str | None) -> np.ndarray:
        if self.surgery is None:  # a query model is of use before it is trained, by its reference's weights
            self._check_if_trained(warn=False)
        trained: bool = self.is_trained_  # type: ignore[has-type]
        with registered(self, adata, layer=layer, batch_key=batch_key) as cells:
            try:
                self.is_trained_ = True
                return super().get_latent_representation(cells)  # type: ignore[no-any-return]
            finally:
                self.is_trained_ = trained

    def _validate_anndata(self, adata: Any = None, *args: Any, **kwargs: Any) -> Any:
        if adata is None and self.adata is None:
            message = "this model came without cells: pass some, or load it with its cells"
            raise ValueError(message)
        return super()._validate_anndata(adata, *args, **kwargs)

    def get_var_names(self, legacy_mudata_format: bool = False) -> Any:  # noqa: FBT001, FBT002 (scvi-tools' signature)
        """Return the names of genes and proteins by modality, also without cells.

        Parameters
        ----------
        legacy_mudata_format
            As in scvi-tools.
        """
        if self.adata is not None:
            return super().get_var_names(legacy_mudata_format)
        return _var_names(self.registry_)

    @classmethod
    def _load_trusted(cls, folder: Path, adata: Any, **options: Any) -> Any:
        prefix = options.get("prefix") or ""
        registry = scvi.model.TOTALVI.load_registry(str(folder), prefix=prefix)
        without = adata is False or (adata is None and not (folder / f"{prefix}mdata.h5mu").exists())
        with advice_unsaid():
            model = super()._load_trusted(
                folder, stand_ins(spec_of_registry(registry, _var_names(registry))) if without else adata, **options
            )
        if without:
            model._adata = None
        model._set_protein_mask(getattr(model, "protein_mask_", None) or _registered_mask(registry))
        return model

    @classmethod
    def load_query_data(cls, adata: AnnData | MuData, reference_model: Any, **kwargs: Any) -> Any:
        """Make a query model from a reference model by architecture surgery, as :meth:`SCVI.load_query_data` does.

        Parameters
        ----------
        adata
            Query cells: MuData, or AnnData of genes alone. Proteins that it lacks are taken for not measured.
        reference_model
            Model of this package or of scvi-tools, or a folder with a saved one. It is not changed.
        **kwargs
            As in :meth:`SCVI.load_query_data`.
        """
        check.cells("adata", adata, mudata=True)
        if adata.n_obs == 1:
            message = "there is 1 cell, and totalVI registers no fewer than 2: map it together with others of its batch"
            raise ValueError(message)
        if isinstance(reference_model, str | Path):
            reference_model = cls.load(reference_model, adata=False)
        require_model("reference_model", reference_model)
        with advice_unsaid():
            model = super().load_query_data(adata, reference_model, **kwargs)
        own = model.module.protein_batch_mask
        if own is not None:
            logger.info("proteins that the query did not measure leave the likelihood of its cells")
        model._set_protein_mask(reference_model.module.protein_batch_mask, own)
        return model

    def _set_protein_mask(self, *masks: Mapping[str, Any] | None) -> None:
        """Set which proteins each batch measured.

        scvi-tools knows it of the batches of the cells at hand only.
        """
        if self.init_params_["non_kwargs"]["override_missing_proteins"]:
            return
        n_proteins = self.module.n_input_proteins
        whole = {str(code): np.ones(n_proteins, dtype=bool) for code in range(self.module.n_batch)}
        for mask in filter(None, masks):
            whole |= {str(code): np.asarray(measured, dtype=bool) for code, measured in mask.items()}
        lacking = not all(measured.all() for measured in whole.values())
        self.module.protein_batch_mask = whole if lacking else None
        self.protein_mask_ = {code: measured.tolist() for code, measured in whole.items()} if lacking else None

    def set_unmeasured_proteins(self, unmeasured: Mapping[str, Sequence[int]]) -> None:
        """Say of every batch which proteins it did not measure.

        Parameters
        ----------
        unmeasured
            Batch to positions of proteins; a batch that is not named measured all.
        """
        check.mapping("unmeasured", unmeasured)
        mask = {}
        for code, batch in enumerate(self.spec.batches):
            mask[str(code)] = np.ones(self.module.n_input_proteins, dtype=bool)
            mask[str(code)][list(unmeasured.get(batch, ()))] = False
        self._set_protein_mask(mask)

    @classmethod
    def from_scvi_tools(cls, model: scvi.model.TOTALVI) -> Any:
        """Return a model of this package with the weights, cells and history of one of scvi-tools.

        Parameters
        ----------
        model
            Model that was set up with MuData or AnnData. It is not changed.
        """
        require_model("model", model)
        with TemporaryDirectory() as folder:
            model.save(folder, overwrite=True)
            converted = load_as(cls, folder, False if model.adata is None else model.adata)
        converted.history_ = model.history_
        return converted


@contextmanager
def advice_unsaid() -> Iterator[None]:
    """Silence scvi-tools' advice against missing proteins, and a warning of mudata.

    mudata names what scvi-tools should not call.
    """
    with catch_warnings():
        filterwarnings("ignore", message="Some proteins have all 0 counts")
        filterwarnings("ignore", message="The method mod_names is deprecated", category=FutureWarning)
        yield


def _var_names(registry: Mapping[str, Any]) -> dict[str, np.ndarray]:
    fields, places = registry["field_registries"], modalities_of(registry["setup_args"])
    keys = {"genes": REGISTRY_KEYS.X_KEY, "proteins": REGISTRY_KEYS.PROTEIN_EXP_KEY}
    return {places[part]: np.asarray(fields[key]["state_registry"]["column_names"]) for part, key in keys.items()}


def _registered_mask(registry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return registry["field_registries"][REGISTRY_KEYS.PROTEIN_EXP_KEY]["state_registry"].get(_MASK)  # type: ignore[no-any-return]
