"""What penalties can know of a model before it trains."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scvi import REGISTRY_KEYS
from scvi.data._constants import _SCVI_UUID_KEY

from scarches_plus.train import Grouping, Setting

from ._prepare import prepare_cells
from ._spec import categories, reference_spec, state_registry
from ._state import get_state

if TYPE_CHECKING:
    from anndata import AnnData
    from torch import Tensor

    from ._strategies import Entries


def groupings_of(model: Any) -> dict[str, Grouping]:
    """Return the model's batch and further categorical covariates by the name of their column."""
    batch = reference_spec(model).batch_key or REGISTRY_KEYS.BATCH_KEY
    places = {batch: (REGISTRY_KEYS.BATCH_KEY, 0, categories(model, REGISTRY_KEYS.BATCH_KEY))}
    covariates = state_registry(model, REGISTRY_KEYS.CAT_COVS_KEY)
    for column, key in enumerate(covariates.get("field_keys", ())):
        places[key] = (REGISTRY_KEYS.CAT_COVS_KEY, column, tuple(map(str, covariates["mappings"][key])))
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
        load=partial(load_tensors, model),
    )


def load_tensors(model: Any, cells: AnnData) -> dict[str, Tensor]:
    """Return cells as the tensors of one large minibatch."""
    spec = reference_spec(model)
    prepared = prepare_cells(cells, spec)
    known_categories = dict(spec.categorical_covariates)
    if spec.batch_key is not None:
        known_categories[spec.batch_key] = spec.batches
    for key, known in known_categories.items():
        unknown = sorted(set(prepared.obs[key]) - set(known))
        if unknown:
            message = f"the model knows no {unknown} in obs[{key!r}], only {list(known)}"
            raise ValueError(message)
    registered = model._validate_anndata(prepared)
    loader = model._make_data_loader(adata=registered, batch_size=max(1, registered.n_obs), shuffle=False)
    with torch.random.fork_rng(devices=[]):  # a loader draws from the global stream
        tensors = next(iter(loader))
    model._per_instance_manager_store[model.id].pop(registered.uns[_SCVI_UUID_KEY])  # let go of the cells
    return tensors  # type: ignore[no-any-return]


def _present(model: Any, tensor: str, column: int, n_groups: int) -> tuple[int, ...]:
    manager = getattr(model, "adata_manager", None)
    if manager is None or tensor not in manager.data_registry:
        return tuple(range(n_groups))
    codes = np.asarray(manager.get_from_registry(tensor))
    codes = codes.reshape(len(codes), -1)[:, column]
    return tuple(np.unique(codes).astype(int).tolist())
