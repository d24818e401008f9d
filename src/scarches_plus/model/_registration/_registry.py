"""Read scvi-tools' registry of a model: what it expects of cells."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scvi import REGISTRY_KEYS
from scvi.model.base import BaseModelClass

from scarches_plus import _arguments as check
from scarches_plus._cells import name_of
from scarches_plus._reference import ReferenceSpec

if TYPE_CHECKING:
    from collections.abc import Mapping


def require_model(name: str, value: Any) -> None:
    """Require a model of a class that this package supports, of this package or of scvi-tools."""
    if not isinstance(value, BaseModelClass):
        message = f"{name} must be a model (sp.model.load opens saved ones), not {check.shown(value)}"
        raise TypeError(message)
    check.supported_model(value)


def state_registry(model: BaseModelClass, key: str) -> dict[str, Any]:
    """Return the stored state of one registered field, empty if the model has no such field."""
    return _state_of(model.registry_, key)


def _state_of(registry: Mapping[str, Any], key: str) -> dict[str, Any]:
    field = registry["field_registries"].get(key, {})
    return dict(field.get("state_registry", {}))


def categories(model: BaseModelClass, key: str) -> tuple[str, ...]:
    """Return the categories of a registered column, as text, in the order of the model's columns."""
    return _categories_of(model.registry_, key)


def _categories_of(registry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(name_of(value) for value in _state_of(registry, key).get("categorical_mapping", ()))


def n_categories(model: BaseModelClass) -> dict[str, int]:
    """Return the number of categories of the batch and of every further categorical covariate, in the model's order."""
    covariates = state_registry(model, REGISTRY_KEYS.CAT_COVS_KEY)
    sizes = {REGISTRY_KEYS.BATCH_KEY: len(categories(model, REGISTRY_KEYS.BATCH_KEY))}
    mappings = covariates.get("mappings", {})
    return sizes | {f"covariate {key}": len(mappings[key]) for key in covariates.get("field_keys", ())}


def reference_spec(model: BaseModelClass) -> ReferenceSpec:
    """Describe what a query must bring to be mapped onto this model."""
    spec = spec_of_registry(model.registry_, model.get_var_names())
    hierarchy = getattr(model, "hierarchy", None)
    inner = () if hierarchy is None else tuple(node for node in hierarchy.nodes if node not in spec.labels)
    return replace(
        spec,
        labels=spec.labels + inner,
        counts=getattr(model.module, "gene_likelihood", "nb") != "normal",
        encodes_batch=bool(getattr(model.module, "encode_covariates", True)),
    )


def spec_of_registry(registry: Mapping[str, Any], names: Any) -> ReferenceSpec:
    """Describe the cells that a registry and the names of their variables belong to."""
    arguments = registry["setup_args"]
    unlabeled = _state_of(registry, REGISTRY_KEYS.LABELS_KEY).get("unlabeled_category")
    covariates = _state_of(registry, REGISTRY_KEYS.CAT_COVS_KEY)
    labels_key = arguments.get("labels_key")
    known = _categories_of(registry, REGISTRY_KEYS.LABELS_KEY) if labels_key else ()
    modalities = modalities_of(arguments)
    return ReferenceSpec(
        var_names=tuple(map(str, names[modalities["genes"]] if modalities else names)),
        layer=arguments.get("layer", arguments.get("rna_layer")),
        batch_key=arguments.get("batch_key"),
        batches=_categories_of(registry, REGISTRY_KEYS.BATCH_KEY),
        labels_key=labels_key,
        labels=tuple(label for label in known if label != name_of(unlabeled)),
        unlabeled_category=None if unlabeled is None else name_of(unlabeled),
        categorical_covariates={
            key: tuple(map(name_of, covariates["mappings"][key])) for key in covariates.get("field_keys", ())
        },
        continuous_covariates=tuple(arguments.get("continuous_covariate_keys") or ()),
        size_factor_key=arguments.get("size_factor_key"),
        modalities=modalities,
        column_modalities=_column_modalities(arguments),
        proteins=tuple(map(str, names[modalities["proteins"]])) if modalities else (),
        protein_layer=arguments.get("protein_layer"),
    )


def modalities_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return where a model that was set up with MuData has genes and proteins; empty for one set up with AnnData."""
    given = arguments.get("modalities")
    return {"genes": given["rna_layer"], "proteins": given["protein_layer"]} if given else {}


def _column_modalities(arguments: Mapping[str, Any]) -> dict[str, str | None]:
    """Return where a model that was set up with MuData looks for each column."""
    given = arguments.get("modalities") or {}
    columns: dict[str, str | None] = {}
    for option in ("batch_key", "size_factor_key", "categorical_covariate_keys", "continuous_covariate_keys"):
        keys = arguments.get(option)
        columns |= dict.fromkeys([keys] if isinstance(keys, str) else keys or (), given.get(option))
    return columns if given else {}


def with_text_categories(model: Any) -> Any:
    """Return the model if its categories are text, else a copy whose registry has them as text (codes stay).

    scvi-tools keeps categories in the type of the reference's column, and refuses a query whose column has another.
    """
    registry = text_registry(model.registry_)
    if registry is model.registry_:
        return model
    converted = copy(model)
    converted.registry_ = registry
    return converted


def use_text_categories(model: Any) -> None:
    """Make the categories of a model without cells text."""
    registry = text_registry(model.registry_)
    if registry is not model.registry_:
        model.registry_ = registry
        if hasattr(model, "_set_indices_and_labels"):
            model._set_indices_and_labels()


def with_all_labels(model: Any) -> Any:
    """Return the model if it has no hierarchy of labels, else a copy whose registry has all labels of it."""
    if getattr(model, "hierarchy", None) is None:
        return model
    labels = reference_spec(model).labels
    extended = copy(model)
    extended.registry_ = deepcopy(model.registry_)
    state = extended.registry_["field_registries"][REGISTRY_KEYS.LABELS_KEY]["state_registry"]
    state["categorical_mapping"] = np.array([*labels, state["unlabeled_category"]], dtype=object)
    return extended


def text_registry(registry: dict[str, Any]) -> dict[str, Any]:
    """Return a registry whose categories are text; the same one if they are already."""
    fields = registry["field_registries"]
    changed = deepcopy(registry)
    any_changed = False
    for key, field in fields.items():
        state, new = field.get("state_registry") or {}, changed["field_registries"][key].get("state_registry") or {}
        if "categorical_mapping" in state and not _is_text(state["categorical_mapping"]):
            # the column that scvi-tools makes up for a model without batches or labels holds integers
            if str(state.get("original_key", "")).startswith("_scvi_"):
                continue
            new["categorical_mapping"], any_changed = _text(state["categorical_mapping"]), True
        for name, mapping in (state.get("mappings") or {}).items():
            if not _is_text(mapping):
                new["mappings"][name], any_changed = _text(mapping), True
        if "unlabeled_category" in state and not isinstance(state["unlabeled_category"], str):
            new["unlabeled_category"] = name_of(state["unlabeled_category"])
            changed["setup_args"]["unlabeled_category"] = name_of(state["unlabeled_category"])
            any_changed = True
    return changed if any_changed else registry


def _is_text(values: Any) -> bool:
    return all(isinstance(value, str) for value in np.asarray(values).tolist())


def _text(values: Any) -> np.ndarray:
    return np.array([name_of(value) for value in np.asarray(values).tolist()], dtype=object)
