"""Load a model without knowing its class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import scvi.model
import torch

from scarches_plus import _arguments as check

from ._prepare import prepare_cells
from ._saved._loading import read_saved
from ._saved._saved_model import locate, model_name
from ._scanvi import SCANVI
from ._scvi import SCVI
from ._spec import reference_spec, with_text_categories
from ._state import restore_state
from ._surgery import release_cells_with
from ._totalvi import TOTALVI

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

CLASSES = {"SCVI": SCVI, "SCANVI": SCANVI, "TOTALVI": TOTALVI}


def load(
    source: str | Path | SCVI | SCANVI | TOTALVI,
    adata: AnnData | MuData | None = None,
    *,
    prefix: str | None = None,
    trust_pickle: bool = False,
) -> SCVI | SCANVI | TOTALVI:
    """Return a model of this package from a saved folder or from a model of scvi-tools.

    Parameters
    ----------
    source
        Folder that ``save`` of this package or of scvi-tools wrote, or its ``model.pt``, or a model. Nothing that a file
        says is executed. A model of this package comes back as it is; one of scvi-tools is copied.
    adata
        Cells the model was trained on. Without them the model can still map and embed queries.
    prefix
        What file names in the folder begin with.
    trust_pickle
        Let scvi-tools open the file, which executes what it says. Only for files of people you trust.

    Returns
    -------
    The model, in evaluation mode. Its latent space is the same however it was opened, unless plain scvi-tools trained
    it further: then it is a new one.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or no model in it; the message says what is there instead.
    ValueError
        If the file is damaged, holds something else, or asks for more than a model needs.
    TypeError
        If the model is of a class that this package does not support.
    """
    if adata is not False:
        check.cells("adata", adata, mudata=True, or_none=True)
    check.texts_or_none(prefix=prefix)
    check.flags(trust_pickle=trust_pickle)
    if isinstance(source, SCVI | SCANVI | TOTALVI):
        return source
    if isinstance(source, scvi.model.TOTALVI):
        return TOTALVI.from_scvi_tools(source)  # type: ignore[no-any-return]
    if isinstance(source, scvi.model.SCVI | scvi.model.SCANVI):
        return _convert(source)
    if not isinstance(source, str | Path):
        message = f"expected a model or a folder as the source, not {check.shown(source)}; supported models are {sorted(CLASSES)}"
        raise TypeError(message)
    if trust_pickle:
        folder, prefix = locate(source, prefix)
        registry = scvi.model.SCVI.load_registry(str(folder), prefix=prefix)
        cells = False if adata is None else adata
        return _class_of(registry["model_name"]).load(folder, cells, prefix=prefix or None, trust_pickle=True)
    saved, _ = read_saved(source, prefix)
    return _class_of(model_name(saved))._of_saved(saved, False if adata is None else adata)


def _class_of(name: str) -> Any:
    if name not in CLASSES:
        message = f"models of class {name} are not supported, only {sorted(CLASSES)}"
        raise TypeError(message)
    return CLASSES[name]


def _convert(model: Any) -> Any:
    """Return a model of this package with the weights, cells and history of one of scvi-tools."""
    cls = _class_of(type(model).__name__)
    source = with_text_categories(model)
    parameters = source.init_params_
    arguments = parameters["non_kwargs"] | {k: v for group in parameters["kwargs"].values() for k, v in group.items()}
    with torch.random.fork_rng(devices=[]):  # a fresh network is drawn, only to be overwritten
        converted = cls(None, registry=source.registry_, **arguments)
    converted.module.load_state_dict(source.module.state_dict())
    converted.module.eval()
    vars(converted).update({name: value for name, value in vars(source).items() if name.endswith("_")})
    if source.adata is not None and source.minified_data_type is None:
        spec = reference_spec(source)
        # a copy that shares the counts: scvi-tools writes into what it registers
        cells = prepare_cells(source.adata, spec, use_labels=spec.unlabeled_category is not None)
        cls.setup_anndata(cells, source_registry=source.registry_, **source.registry_["setup_args"])
        converted.adata = cells
        release_cells_with(converted)
    restore_state(converted)
    return converted
