"""Convert saved totalVI models to MuData and explicit arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus._cells import gene_modality, names_of
from scarches_plus.model import modalities_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._saved_model import SavedModel

#: From this release on, the decoder's background of proteins is made by softplus, before by exp.
_SOFTPLUS_SINCE = (1, 2)
#: A factor of each batch, and an encoder that sees counts normalised, both came with 1.3.1; no factor is e^0.
_EFFICIENCY = "log_per_batch_efficiency"
_OF_ANNDATA = {"layer", "protein_expression_obsm_key", "protein_names_uns_key"}


def as_mudata(saved: SavedModel) -> SavedModel:
    """Return a totalVI model as one that was set up with MuData, whose proteins are a modality.

    Raises
    ------
    UnsafeFileError
        If the file lacks what a model has to have.
    KeyError
        If its registry lacks genes or proteins.
    TypeError
        If the model has panels, which are not supported.
    """
    registry, arguments = saved.attribute("registry_"), saved.attribute("init_params_")
    names: Any = saved.var_names
    if registry["setup_args"].get("panel_key") is not None:
        message = "it is a totalVI model with panels (panel_key), which are not supported"
        raise TypeError(message)
    if not registry["setup_args"].get("modalities"):
        proteins = str(registry["setup_args"]["protein_expression_obsm_key"])
        fields = registry["field_registries"]
        genes = gene_modality(proteins)
        names = {genes: names, proteins: names_of(np.asarray(fields["proteins"]["state_registry"]["column_names"]))}
        registry = _of_mudata(registry, genes, proteins, names)
    elif not isinstance(names, dict):  # up to 1.0 names of genes and proteins stood in one row
        names = _by_modality(registry)
    if _version_of(registry) < _SOFTPLUS_SINCE:
        arguments = _with_options(arguments, extra_decoder_kwargs={"activation_function_bg": "exp"})
    weights = dict(saved.weights)
    if _EFFICIENCY not in weights:
        arguments = _with_options(arguments, normalize_encoder_input=False)
        n_batches = len(registry["field_registries"]["batch"]["state_registry"]["categorical_mapping"])
        n_proteins = len(names[registry["setup_args"]["modalities"]["protein_layer"]])
        weights[_EFFICIENCY] = torch.zeros(n_proteins, n_batches)
    attributes = {**saved.attributes, "registry_": registry, "init_params_": arguments}
    return replace(saved, var_names=names, weights=weights, attributes=attributes)


def _of_mudata(registry: Mapping[str, Any], genes: str, proteins: str, names: Mapping[str, Any]) -> dict[str, Any]:
    setup = registry["setup_args"]
    kept = {name: value for name, value in setup.items() if name not in _OF_ANNDATA}
    places = {"rna_layer": genes, "protein_layer": proteins}
    # where cells lie is another matter now, and registered anew; totalVI knows no labels
    fields = {
        name: {part: dict(field[part]) for part in ("state_registry", "summary_stats")}
        for name, field in registry["field_registries"].items()
        if name != "labels" and field["state_registry"]
    }
    for field, part in (("X", genes), ("proteins", proteins)):
        fields[field]["state_registry"]["column_names"] = np.asarray(names[part])
    return {
        **registry,
        "setup_method_name": "setup_mudata",
        "setup_args": {**kept, "rna_layer": setup.get("layer"), "protein_layer": None, "modalities": places},
        "field_registries": fields,
    }


def _by_modality(registry: Mapping[str, Any]) -> dict[str, Any]:
    places, fields = modalities_of(registry["setup_args"]), registry["field_registries"]
    keys = {places["genes"]: "X", places["proteins"]: "proteins"}
    return {place: np.asarray(fields[key]["state_registry"]["column_names"]) for place, key in keys.items()}


def _with_options(arguments: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Return arguments of a constructor with options of the network that are not given."""
    groups = dict(arguments["kwargs"]) if "kwargs" in arguments else dict(arguments)
    given = groups.get("model_kwargs") or {}
    deeper = {name: {**one, **(given.get(name) or {})} for name, one in options.items() if isinstance(one, dict)}
    groups["model_kwargs"] = {**options, **given, **deeper}
    return {**arguments, "kwargs": groups} if "kwargs" in arguments else groups


def _version_of(registry: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the release of scvi-tools that wrote a registry; files of this package's own are of today."""
    numbers = [int(part) for part in str(registry.get("scvi_version", "")).split(".")[:2] if part.isdigit()]
    return tuple(numbers) or (9,)
