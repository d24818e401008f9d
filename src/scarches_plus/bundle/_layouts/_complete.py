"""Complete the registry and arguments of an older saved model, checked against its weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus.bundle._serialise._portable import PortableModel, plain_value, plan
from scarches_plus.model import ATTRIBUTE, ModelState, spec_of_registry, text_registry

from ._saved_model import with_path
from ._totalvi import as_mudata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._saved_model import SavedModel

#: Arguments of former versions, which the network does not depend on.
_FORMER = {"unlabeled_category", "pretrained_model", "use_cuda", "use_gpu"}
#: Numbers of a registry that are about the cells at hand.
_OF_CELLS = {"n_cells", "n_obs"}
_SETUPS = {"setup_anndata", "setup_mudata"}


def complete(saved: SavedModel) -> SavedModel:
    """Return a model whose arguments and weights go together, with all that scvi-tools of today registers of its cells.

    It is looked at before any memory is taken for the network.

    Raises
    ------
    UnsafeFileError
        If the file asks for more than a model needs.
    TypeError
        If the model is of a class that this package does not support.
    ValueError
        If class, arguments and weights do not go together.
    """

    def make() -> SavedModel:
        model = as_mudata(saved) if saved.model_class == "TOTALVI" else saved
        registry, expected = model.attribute("registry_"), plan(_parts(model)).registry
        _require_same_numbers(registry, expected)
        fields = {**expected["field_registries"], **registry["field_registries"]}
        for name in set(fields) & set(expected["field_registries"]):
            known = expected["field_registries"][name]
            fields[name] = {
                **known,
                **fields[name],
                "state_registry": known["state_registry"] | fields[name]["state_registry"],
                "summary_stats": known["summary_stats"] | fields[name]["summary_stats"],
            }
        arguments = {**expected["setup_args"], **registry["setup_args"]}
        whole = {**registry, "field_registries": fields, "setup_args": arguments}
        return replace(model, attributes={**model.attributes, "registry_": whole})

    return with_path(saved, make)


def _require_same_numbers(registry: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse numbers of genes, batches, labels and categories that differ from those of their names.

    Networks are made of these numbers.
    """
    found, known = (_numbers(one) for one in (registry, expected))
    for name, number in known.items():
        if name in found and found[name] != number:
            message = f"its registry says {name}={found[name]}, and names {number}"
            raise ValueError(message)


def _numbers(registry: Mapping[str, Any]) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for field in registry["field_registries"].values():
        numbers |= field["summary_stats"]
        if "n_cats_per_key" in field["state_registry"]:
            numbers["n_cats_per_key"] = list(map(int, field["state_registry"]["n_cats_per_key"]))
    return {name: number for name, number in numbers.items() if name not in _OF_CELLS}


def _parts(saved: SavedModel) -> PortableModel:
    registry = text_registry(saved.attribute("registry_"))
    name = registry["model_name"]
    if registry.get("setup_method_name", "setup_anndata") not in _SETUPS:
        message = f"models that were set up by {registry['setup_method_name']} are not supported, only those of cells"
        raise TypeError(message)
    arguments = _arguments(saved.attribute("init_params_"))
    spec = spec_of_registry(registry, saved.var_names)
    own = saved.attribute(ATTRIBUTE) if ATTRIBUTE in {*saved.attributes, *saved.refused} else None
    state = ModelState("", "") if own is None else ModelState.from_plain(own)
    lacking = {
        spec.batches[int(code)]: np.flatnonzero(~np.asarray(mask, dtype=bool)).tolist()
        for code, mask in _protein_mask(saved.attributes, registry).items()
    }
    return PortableModel(
        model_class=name,
        arguments={
            key: plain_value(value, key)
            for key, value in arguments.items()
            if key not in {*_FORMER, "datamodule", "registry"}
        },
        spec=spec,
        state=state,
        weights=saved.weights,
        n_cells=int(registry["field_registries"]["X"]["summary_stats"].get("n_cells", 0)),
        unmeasured_proteins=lacking,
    )


def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of a constructor; before scvi-tools 0.9, groups of them were dictionaries among the others."""
    if "non_kwargs" in given:
        alone, groups = given["non_kwargs"], given["kwargs"].values()
    else:
        alone = {name: value for name, value in given.items() if not isinstance(value, dict)}
        groups = [value for value in given.values() if isinstance(value, dict)]
    return alone | {name: value for group in groups for name, value in group.items()}


def _protein_mask(attributes: Mapping[str, Any], registry: Mapping[str, Any]) -> dict[str, Any]:
    field = registry["field_registries"].get("proteins", {})
    return attributes.get("protein_mask_") or field.get("state_registry", {}).get("protein_batch_mask") or {}
