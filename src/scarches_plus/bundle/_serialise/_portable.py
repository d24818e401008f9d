"""Serialise a model to plain data and back.

A file without code has to hold what is listed here.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scarches_plus.model import (
    CLASSES,
    TOTALVI,
    advice_unsaid,
    as_own,
    get_state,
    reference_spec,
    restore_state,
    set_state,
    stand_ins,
    with_text_categories,
)

from ._plausible import NO_OPTIONS, known_arguments, require_plausible_sizes
from ._plausible_state import require_plausible_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from scarches_plus._reference import ReferenceSpec
    from scarches_plus.model import SCANVI, SCVI, ModelState

#: Epochs of a history that are kept, evenly over the training, the first and the last among them.
_MOST_EPOCHS = 100


@dataclass(frozen=True)
class PortableModel:
    """A model without its cells, as numbers, text and tensors.

    Attributes
    ----------
    model_class
        Name of the class.
    arguments
        Arguments of its constructor.
    spec
        What its cells are like.
    state
        What is remembered about it.
    weights
        Name to tensor.
    n_cells
        Number of cells it was trained on.
    history
        Name to epochs and values, a hundred at most.
    unmeasured_proteins
        Batch to the proteins (positions) that it did not measure.
    """

    model_class: str
    arguments: Mapping[str, Any]
    spec: ReferenceSpec
    state: ModelState
    weights: Mapping[str, Tensor]
    n_cells: int = 0
    history: Mapping[str, tuple[list[int], list[float]]] | None = None
    unmeasured_proteins: Mapping[str, list[int]] | None = None


def take_apart(model: Any) -> PortableModel:
    """Return what a model is made of; the model is not changed.

    Raises
    ------
    ValueError
        If the model is not trained.
    TypeError
        If an argument of its constructor is no plain value.
    """
    model = with_text_categories(as_own(model))
    if not model.is_trained:
        message = "the model is not trained; train it first"
        raise ValueError(message)
    given = model.init_params_
    arguments = given["non_kwargs"] | {k: v for group in given["kwargs"].values() for k, v in group.items()}
    return PortableModel(
        model_class=type(model).__name__,
        arguments={name: plain_value(value, name) for name, value in arguments.items() if name not in NO_OPTIONS},
        spec=reference_spec(model),
        state=get_state(model),
        weights={name: value.detach().cpu().contiguous() for name, value in model.module.state_dict().items()},
        n_cells=int(model.summary_stats.n_cells),
        history=_plain_history(model.history),
        unmeasured_proteins=_unmeasured_proteins(model),
    )


def put_together(parts: PortableModel) -> SCVI | SCANVI | TOTALVI:
    """Return a model without cells; no code but scvi-tools' and this package's own takes part.

    Raises
    ------
    ValueError
        If class, arguments and weights do not go together. This is known before any memory is taken for the network.
    """
    build = plan(parts).build
    with advice_unsaid(), torch.random.fork_rng(devices=[]):  # a fresh network is drawn, only to be overwritten
        model = build()
    model.module.load_state_dict(dict(parts.weights))
    model.module.eval()
    model.is_trained_ = True
    model.history_ = {
        name: pd.DataFrame({name: values}, index=pd.Index(epochs, name="epoch"))
        for name, (epochs, values) in (parts.history or {}).items()
    }
    if isinstance(model, TOTALVI):
        model.set_unmeasured_proteins(parts.unmeasured_proteins or {})
    # a model of plain scvi-tools has no state, and gets that of its weights
    set_state(model, parts.state if parts.state.weights else get_state(model))
    restore_state(model)
    return model  # type: ignore[no-any-return]


class Plan(NamedTuple):
    """Recipe of an untrained model, and the registry that it will have."""

    build: Callable[[], Any]
    registry: dict[str, Any]


def plan(parts: PortableModel) -> Plan:
    """Return the plan of an untrained model, if class, arguments and weights go together.

    Nothing is made yet.

    Raises
    ------
    ValueError
        If they do not.
    """
    cls = CLASSES[parts.model_class]
    if bool(parts.spec.modalities) != (cls is TOTALVI):
        message = f"a {parts.model_class} has {'no' if parts.spec.modalities else 'two'} modalities"
        raise ValueError(message)
    spec = parts.spec
    if parts.model_class == "SCANVI" and (not spec.labels or None in {spec.labels_key, spec.unlabeled_category}):
        message = "labels_key, labels, unlabeled_category: a SCANVI needs a column of labels, and the name of no label"
        raise ValueError(message)
    require_plausible_sizes(parts.spec, parts.weights)
    require_plausible_state(parts.state, parts.spec, parts.weights, parts.unmeasured_proteins)
    arguments = known_arguments(cls, parts.arguments, parts.weights)
    with advice_unsaid():
        planned = _plan(cls, parts, arguments)
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            _require_same_tensors(planned.build().module.state_dict(), parts)
    return planned


def _plan(cls: Any, parts: PortableModel, arguments: dict[str, Any]) -> Plan:
    cells = stand_ins(parts.spec)
    set_up = cls.setup_mudata if parts.spec.modalities else cls.setup_anndata
    set_up(cells, **_setup_arguments(parts))
    manager = cls._get_most_recent_anndata_manager(cells, required=True)
    registry = deepcopy(manager.registry)
    for field in registry["field_registries"].values():
        for table, name in ((field.get("state_registry", {}), "n_obs"), (field["summary_stats"], "n_cells")):
            if name in table:
                table[name] = parts.n_cells
    if not parts.spec.modalities:
        cls._setup_adata_manager_store.pop(manager.adata_uuid)
        return Plan(partial(cls, None, registry=registry, **arguments), registry)

    def with_cells() -> Any:  # totalVI cannot be built without any
        model = cls(cells, **{**arguments, "empirical_protein_background_prior": False})
        model.init_params_["non_kwargs"]["empirical_protein_background_prior"] = arguments.get(
            "empirical_protein_background_prior"
        )
        model.registry_ = registry
        model._adata = None
        return model

    return Plan(with_cells, registry)


def _setup_arguments(parts: PortableModel) -> dict[str, Any]:
    spec = parts.spec
    arguments: dict[str, Any] = {
        "batch_key": spec.batch_key,
        "size_factor_key": spec.size_factor_key,
        "categorical_covariate_keys": list(spec.categorical_covariates) or None,
        "continuous_covariate_keys": list(spec.continuous_covariates) or None,
    }
    if spec.modalities:
        modalities = {"rna_layer": spec.modalities["genes"], "protein_layer": spec.modalities["proteins"]}
        for option, keys in arguments.items():
            first = keys[0] if isinstance(keys, list) else keys
            if spec.column_modalities.get(first) is not None:
                modalities[option] = str(spec.column_modalities[first])
        return arguments | {"rna_layer": spec.layer, "protein_layer": spec.protein_layer, "modalities": modalities}
    arguments |= {"layer": spec.layer, "labels_key": spec.labels_key}
    return arguments | ({"unlabeled_category": spec.unlabeled_category} if parts.model_class == "SCANVI" else {})


def _require_same_tensors(expected: Mapping[str, Tensor], parts: PortableModel) -> None:
    lacking, stray = sorted(set(expected) - set(parts.weights)), sorted(set(parts.weights) - set(expected))
    if lacking or stray:
        found = [f"there is no tensor {lacking[:5]}"] if lacking else []
        found += [f"a {parts.model_class} of these arguments has no {stray[:5]}"] if stray else []
        message = ", and ".join(found)
        raise ValueError(message)
    for name, one in expected.items():
        weights = parts.weights[name]
        if (one.shape, one.dtype) != (weights.shape, weights.dtype):
            message = (
                f"tensor {name!r} is {tuple(weights.shape)} of {weights.dtype}, and a {parts.model_class} of these "
                f"arguments and cells has one of {tuple(one.shape)} of {one.dtype}"
            )
            raise ValueError(message)


def plain_value(value: Any, name: str) -> Any:
    """Return an argument of a model as JSON has it.

    Raises
    ------
    TypeError
        If it is no plain value.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return [plain_value(one, name) for one in value]
    if isinstance(value, dict):
        return {str(key): plain_value(one, name) for key, one in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    message = f"argument {name}={value!r} of the model is no plain value, so a file without code cannot hold it"
    raise TypeError(message)


def _plain_history(history: Mapping[str, pd.DataFrame] | None) -> dict[str, tuple[list[int], list[float]]]:
    """Return what was logged once an epoch, to seven digits, for at most a hundred epochs.

    Missing values are left out.
    """
    records = {}
    for name, table in (history or {}).items():
        if table.index.name == "epoch":
            values = table.iloc[:, 0].astype(float)
            values = values[np.isfinite(values)]
            if len(values) > _MOST_EPOCHS:
                values = values.iloc[np.linspace(0, len(values) - 1, _MOST_EPOCHS).round().astype(int)]
            records[name] = values.index.astype(int).tolist(), [float(f"{value:.7g}") for value in values]
    return records


def _unmeasured_proteins(model: Any) -> dict[str, list[int]]:
    mask = getattr(model.module, "protein_batch_mask", None) or {}
    batches = reference_spec(model).batches
    lacking = {batches[int(code)]: np.flatnonzero(~np.asarray(measured, dtype=bool)) for code, measured in mask.items()}
    return {batch: proteins.tolist() for batch, proteins in lacking.items() if len(proteins)}
