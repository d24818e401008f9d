"""Convert a model of scvi-tools to a model of this package."""

from __future__ import annotations

from typing import Any

import scvi.model
import torch

from scarches_plus import _arguments as check
from scarches_plus.model._registration._query_columns import prepare_cells
from scarches_plus.model._registration._registry import reference_spec, with_text_categories
from scarches_plus.model._scanvi import SCANVI
from scarches_plus.model._scvi import SCVI
from scarches_plus.model._state import note_origin, restore_state
from scarches_plus.model._surgery._query_model import release_cells_with
from scarches_plus.model._totalvi import TOTALVI

CLASSES = {"SCVI": SCVI, "SCANVI": SCANVI, "TOTALVI": TOTALVI}


def as_own(model: Any) -> SCVI | SCANVI | TOTALVI:
    """Return a model of this package: the same one, or a copy of one of scvi-tools.

    Raises
    ------
    TypeError
        If it is no model, or one of a class that this package does not support.
    """
    if isinstance(model, SCVI | SCANVI | TOTALVI):
        return model
    check.supported_model(model)
    if isinstance(model, scvi.model.TOTALVI):
        return TOTALVI.from_scvi_tools(model)  # type: ignore[no-any-return]
    if isinstance(model, scvi.model.SCVI | scvi.model.SCANVI):
        return _copy(model)
    message = (
        f"expected a model, or what names one (a path, a name, a DOI, an address), not {check.shown(model)}; "
        f"supported models are {sorted(CLASSES)}"
    )
    raise TypeError(message)


def class_of(name: str) -> Any:
    """Return the class of this package that a class of scvi-tools corresponds to.

    Raises
    ------
    TypeError
        If there is none.
    """
    if name not in CLASSES:
        raise TypeError(check.unsupported(name))
    return CLASSES[name]


def _copy(model: Any) -> Any:
    """Return a model of this package with the weights, cells and history of one of scvi-tools."""
    cls = class_of(type(model).__name__)
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
    note_origin(converted, source.registry_)
    return converted
