"""Folders as scvi-tools writes them, from models as plain data and back."""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import scvi.model
import torch

from scarches_plus._pickles import TRUST, UnsafeFileError, read_torch_file
from scarches_plus.model._load import CLASSES
from scarches_plus.model._spec import spec_of_registry, text_registry
from scarches_plus.model._state import ATTRIBUTE, ModelState

from ._loading import read_saved
from ._portable import PortableModel, plain_value, plan, put_together, take_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ._saved_model import SavedModel

Result = TypeVar("Result")
#: What scvi-tools keeps of single cells, and what versions of pandas cannot read from each other.
_LEFT_OUT = {
    "history_", "labels_", "run_id_", "run_name_", "train_indices_", "validation_indices_", "test_indices_",
    "semisupervised_history_", "unsupervised_history_",
}  # fmt: skip
#: Arguments of former versions, which the network does not depend on.
_FORMER = {"unlabeled_category", "pretrained_model", "use_cuda", "use_gpu"}
#: Numbers of a registry that are about the cells at hand.
_OF_CELLS = {"n_cells", "n_obs"}
_OWN_LIKELIHOODS = {"mse", "sse"}
_SETUPS = {"setup_anndata", "setup_mudata"}


def to_scvi_file(model: Any) -> bytes:
    """Return a ``model.pt`` that plain scvi-tools opens, without data of single cells.

    Raises
    ------
    ValueError
        If scvi-tools has no such network.
    """
    parts = take_apart(model)
    theirs = getattr(scvi.model, parts.model_class)
    classes = (*theirs.__mro__, *theirs._module_cls.__mro__)
    known = {name for one in classes if "__init__" in vars(one) for name in signature(one.__init__).parameters}
    defaults = {"reconstruction_weight": 1.0}
    own = sorted(n for n, v in parts.arguments.items() if n not in known and v != defaults.get(n) and v)
    if parts.arguments.get("gene_likelihood") in _OWN_LIKELIHOODS:
        own.append("gene_likelihood")
    if own:
        message = f"plain scvi-tools has no network for {own}, so it could not open the model; share it as a bundle"
        raise ValueError(message)
    clean = put_together(parts)
    clean.scarches_plus_ = {**clean.scarches_plus_, "anchors": None}
    attributes = {
        name: value
        for name, value in clean._get_user_attributes()
        if name.endswith("_") and not name.startswith("_") and name not in _LEFT_OUT
    }
    for group in attributes["init_params_"]["kwargs"].values():
        for name in set(group) - known:
            del group[name]
    weights = OrderedDict(parts.weights)
    names = clean.get_var_names()
    content = {
        "model_state_dict": OrderedDict(weights, pyro_param_store={"params": {}, "constraints": {}}),
        "var_names": {part: _texts(one) for part, one in names.items()} if isinstance(names, dict) else _texts(names),
        "attr_dict": attributes | {"history_": None},
    }
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def is_export(path: Path) -> bool:
    """Return whether :func:`to_scvi_file` wrote a file: it has a state of this package, and no training history."""
    try:
        attributes = read_torch_file(path).parts()["attr_dict"].parts()
        return ATTRIBUTE in attributes and attributes["history_"].make() is None
    except (UnsafeFileError, OSError, KeyError):
        return False


def from_scvi_folder(folder: str | Path, prefix: str | None = None) -> Any:
    """Return the model in a folder of scvi-tools; nothing in the file is called.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    UnsafeFileError
        If the file is damaged, or asks for more than a model needs.
    TypeError
        If the model is of a class that this package does not support.
    ValueError
        If the file holds something else than a model.
    """
    saved, _ = read_saved(folder, prefix)
    return with_path(saved, lambda: put_together(_parts(saved)))


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
        registry, expected = saved.attribute("registry_"), plan(_parts(saved)).registry
        _require_same_numbers(registry, expected)
        fields = {**expected["field_registries"], **registry["field_registries"]}
        for name in set(fields) & set(expected["field_registries"]):
            known = expected["field_registries"][name]
            fields[name] = {
                **known,
                **fields[name],
                "state_registry": known["state_registry"] | fields[name]["state_registry"],
            }
        arguments = {**expected["setup_args"], **registry["setup_args"]}
        whole = {**registry, "field_registries": fields, "setup_args": arguments}
        return replace(saved, attributes={**saved.attributes, "registry_": whole})

    return with_path(saved, make)


def _require_same_numbers(registry: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse numbers of genes, batches, labels and categories that are not those of their names: networks are made of them."""
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


def with_path(
    saved: SavedModel, make: Callable[[], Result], what: str = "holds no model of scvi-tools 0.15 or later"
) -> Result:
    """Return what is made of a file, with errors that name it."""
    try:
        return make()
    except Exception as error:  # what a model file may say wrong has no end
        if isinstance(error, UnsafeFileError) or (isinstance(error, TypeError) and "not supported" in str(error)):
            raise
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        message = f"{saved.path} {what}: {why}; {TRUST}"
        raise ValueError(message) from error


def _parts(saved: SavedModel) -> PortableModel:
    registry = text_registry(saved.attribute("registry_"))
    name = registry["model_name"]
    if name not in CLASSES or registry.get("setup_method_name", "setup_anndata") not in _SETUPS:
        message = f"models of class {name} are not supported, only {sorted(CLASSES)} that were set up with cells"
        raise TypeError(message)
    if name == "TOTALVI" and not registry["setup_args"].get("modalities"):
        message = "totalVI models that were set up with AnnData are not supported; only those of MuData"
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


def _texts(names: Any) -> np.ndarray:
    return np.array([str(name) for name in names], dtype=object)
