"""Collect the batches, covariates and state of a model that penalties use."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import torch
from scvi import REGISTRY_KEYS
from scvi.data._constants import _SCVI_UUID_KEY

from scarches_plus._cells import gene_cells, name_of
from scarches_plus.model._state import get_state
from scarches_plus.pp import check_query
from scarches_plus.train import Grouping, Setting

from ._multimodal import registrable
from ._query_columns import prepare_cells
from ._registry import categories, reference_spec, state_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from scarches_plus.model._surgery._strategies import Entries


def groupings_of(model: Any) -> dict[str, Grouping]:
    """Return the model's batch and further categorical covariates by the name of their column."""
    batch = reference_spec(model).batch_key or REGISTRY_KEYS.BATCH_KEY
    places = {batch: (REGISTRY_KEYS.BATCH_KEY, 0, categories(model, REGISTRY_KEYS.BATCH_KEY))}
    covariates = state_registry(model, REGISTRY_KEYS.CAT_COVS_KEY)
    for column, key in enumerate(covariates.get("field_keys", ())):
        places[key] = (REGISTRY_KEYS.CAT_COVS_KEY, column, tuple(map(name_of, covariates["mappings"][key])))
    return {
        name: Grouping(tensor, column, names, _present(model, tensor, column, len(names)))
        for name, (tensor, column, names) in places.items()
    }


def setting_of(model: Any, entries: Entries | None) -> Setting:
    """Return what penalties are prepared with; ``entries`` is what trains, ``None`` for everything."""
    state = get_state(model)
    return Setting(
        module=model.module,
        groupings=groupings_of(model),
        trained=entries,
        importance=state.importance,
        # of another latent space they would say where the reference was, before the model moved
        anchors=state.anchors if state.anchors is not None and state.anchors.space == state.space else None,
        summaries={name: one for name, one in state.summaries.items() if one.space == state.space},
        load=partial(_load_checked, model),
    )


@contextmanager
def registered(model: Any, cells: AnnData | MuData, **options: Any) -> Iterator[AnnData | MuData]:
    """Register a copy of cells of known batches with a model, and let go of it at the end.

    Parameters
    ----------
    model
        Model of this package.
    cells
        Cells; not changed.
    **options
        As in :func:`prepare_cells`.

    Raises
    ------
    ValueError
        If the model does not know a batch or category of the cells.
    """
    spec = reference_spec(model)
    prepared = prepare_cells(gene_cells(cells, spec, options.get("batch_key")), spec, **options)
    known_categories = dict(spec.categorical_covariates)
    if spec.batch_key is not None:
        known_categories[spec.batch_key] = spec.batches
    for key, known in known_categories.items():
        unknown = sorted(set(prepared.obs[key]) - set(known))
        if unknown:
            message = f"the model knows no {unknown} in obs[{key!r}], only {list(known)}"
            raise ValueError(message)
    prepared.obs = _in_registered_types(model, prepared.obs)
    validated = model._validate_anndata(registrable(prepared, cells, spec))
    try:
        yield validated
    finally:
        model._per_instance_manager_store[model.id].pop(validated.uns[_SCVI_UUID_KEY])


def _in_registered_types(model: Any, obs: pd.DataFrame) -> pd.DataFrame:
    """Return columns of text with the values that the model was set up with, such as batches that are numbers."""
    states = (state_registry(model, field) for field in (REGISTRY_KEYS.BATCH_KEY, REGISTRY_KEYS.LABELS_KEY))
    mappings = {one["original_key"]: one["categorical_mapping"] for one in states if "categorical_mapping" in one}
    mappings |= state_registry(model, REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", {})
    columns = {
        key: {name_of(value): value for value in np.asarray(values).tolist()} for key, values in mappings.items()
    }
    return obs.assign(**{key: obs[key].map(values) for key, values in columns.items() if key in obs})


def load_tensors(model: Any, cells: AnnData | MuData) -> dict[str, Tensor]:
    """Return cells as the tensors of one large minibatch."""
    with registered(model, cells) as known, torch.random.fork_rng(devices=[]):  # a loader draws from the global stream
        return next(iter(model._make_data_loader(adata=known, batch_size=max(1, known.n_obs), shuffle=False)))  # type: ignore[no-any-return]


def _load_checked(model: Any, cells: AnnData | MuData) -> dict[str, Tensor]:
    """Return cells that the query check passes as :func:`load_tensors` does, and warn of what it finds."""
    spec = reference_spec(model)
    report = check_query(cells, spec, shared_batches=spec.batches)
    report.raise_for_problems()
    for problem in report.problems:
        warn(str(problem), UserWarning, stacklevel=2)
    return load_tensors(model, cells)


def _present(model: Any, tensor: str, column: int, n_groups: int) -> tuple[int, ...]:
    manager = getattr(model, "adata_manager", None)
    if manager is None or tensor not in manager.data_registry:
        return tuple(range(n_groups))
    codes = np.asarray(manager.get_from_registry(tensor))
    codes = codes.reshape(len(codes), -1)[:, column]
    return tuple(np.unique(codes).astype(int).tolist())
