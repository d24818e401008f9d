"""Read the registry of a data module such that models of it take queries of AnnData."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from scvi import REGISTRY_KEYS

from scarches_plus._cells import name_of
from scarches_plus._reference import ReferenceSpec
from scarches_plus.model._saved._stand_ins import stand_ins

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_COVARIATES = (
    "the data module's registry has further covariates in a form of its own (setup_datamodule), for which queries "
    "cannot be set up: leave them out, or write the cells into a store, sp.pp.write_store, and build of that"
)


def registry_of_module(cls: Any, module: Any, batch_key: str, labels_key: str | None) -> dict[str, Any]:
    """Return the registry of a data module as ``setup_anndata`` writes it.

    Modules that come with scvi-tools make a registry of their own (``setup_datamodule``). It names the genes, batches
    and labels in the order of their codes, which is all that ``setup_anndata`` would have read from cells.

    Parameters
    ----------
    cls
        Class of the model.
    module
        Data module of scvi-tools' protocol.
    batch_key, labels_key
        Columns of batches and labels in queries.

    Raises
    ------
    ValueError
        If the registry has no names of genes, no batches, other columns, or covariates in a form of its own.
    """
    registry = module.registry
    arguments, fields = registry["setup_args"], registry["field_registries"]
    if registry.get("setup_method_name", "setup_anndata") != "setup_datamodule":
        _require_same(arguments, batch_key=batch_key, labels_key=labels_key)
        return deepcopy(dict(registry))
    if arguments.get("categorical_covariate_keys") or arguments.get("continuous_covariate_keys"):
        raise ValueError(_NO_COVARIATES)
    labels = _categories(fields, REGISTRY_KEYS.LABELS_KEY) if labels_key is not None else ()
    unlabeled = fields[REGISTRY_KEYS.LABELS_KEY]["state_registry"].get("unlabeled_category")
    spec = ReferenceSpec(
        var_names=tuple(map(str, fields[REGISTRY_KEYS.X_KEY]["state_registry"]["column_names"])),
        layer=arguments.get("layer"),
        batch_key=batch_key,
        batches=_categories(fields, REGISTRY_KEYS.BATCH_KEY),
        labels_key=labels_key,
        labels=tuple(label for label in labels if label != unlabeled),
        unlabeled_category=None if unlabeled not in labels else name_of(unlabeled),
    )
    if not spec.batches:
        message = "the data module has no batches: make it with the column of batches"
        raise ValueError(message)
    return _registry_of(cls, spec, n_cells_of(module))


def n_cells_of(module: Any) -> int:
    """Return how many cells a data module has."""
    stated = module.registry["field_registries"][REGISTRY_KEYS.X_KEY]["state_registry"]["n_obs"]
    return int(getattr(module, "n_obs", stated))


def _registry_of(cls: Any, spec: ReferenceSpec, n_cells: int) -> dict[str, Any]:
    cells = stand_ins(spec)
    cls.setup_anndata(cells, layer=spec.layer, batch_key=spec.batch_key, labels_key=spec.labels_key)
    manager = cls._get_most_recent_anndata_manager(cells, required=True)
    registry: dict[str, Any] = deepcopy(manager.registry)
    cls._setup_adata_manager_store.pop(manager.adata_uuid)
    genes = registry["field_registries"][REGISTRY_KEYS.X_KEY]
    genes["state_registry"]["n_obs"] = genes["summary_stats"]["n_cells"] = n_cells
    return registry


def _categories(fields: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return categories by their code; lamin's are a mapping of name to code."""
    given: Mapping[Any, int] | Sequence[Any] | None = fields[key]["state_registry"].get("categorical_mapping")
    if given is None:
        return ()
    names = sorted(given, key=given.__getitem__) if isinstance(given, Mapping) else given
    return tuple(map(name_of, names))


def _require_same(arguments: Mapping[str, Any], **asked: str | None) -> None:
    for name, key in asked.items():
        if key is not None and arguments.get(name) != key:
            message = (
                f"the data module's registry has {name}={arguments.get(name)!r}, not {key!r}: pass that, or set up its "
                "cells with the other column"
            )
            raise ValueError(message)
