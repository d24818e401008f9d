"""Compute posteriors, library sizes and activations of cells under a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus._cells import CountsOnDisk
from scarches_plus.train._penalties._shared._activations import caught

from ._eval_mode import evaluated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._reference_model import ReferenceModel
_BATCH_SIZE = 512


@torch.no_grad()
def observe_cells(model: ReferenceModel, rows: Sequence[int], layers: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """Return posteriors, library sizes, groups and activations of cells.

    Parameters
    ----------
    model
        Model with its cells.
    rows
        Positions of the cells.
    layers
        Hidden layers whose activations to return.

    Returns
    -------
    dict
        ``"z_mean"``, ``"z_var"``, ``"library"`` (logarithms), ``"group <name>"``, ``"layer <name>"`` and, if the model
        has continuous covariates, ``"continuous"``; first dimension the cells.

    Raises
    ------
    ValueError
        If the model has no cells, or the latent distribution is not normal.
    """
    if model.adata is None or model.minified_data_type is not None:
        message = "the model's cells are needed, and this model came without their counts"
        raise ValueError(message)
    if getattr(model.module, "latent_distribution", "normal") != "normal":
        message = (
            f"cells are kept as normal posteriors, and latent_distribution={model.module.latent_distribution!r} "
            "transforms them; train the reference with latent_distribution='normal'"
        )
        raise ValueError(message)
    groupings = model.groupings
    places = np.asarray(rows, dtype=np.int64)
    order = np.argsort(places, kind="stable") if lies_on_disk(model) else np.arange(len(places))  # so it is read once
    parts: dict[str, list[torch.Tensor]] = {}
    with evaluated(model.module), torch.random.fork_rng(devices=[]):
        for tensors in model._make_data_loader(adata=model.adata, indices=places[order], batch_size=_BATCH_SIZE):
            on_device = {name: value.to(model.device) for name, value in tensors.items()}
            for name, value in _observed(model.module, on_device, groupings, layers).items():
                parts.setdefault(name, []).append(value.cpu())
    back = torch.from_numpy(np.argsort(order))
    return {name: torch.cat(values)[back] for name, values in parts.items()}


def lies_on_disk(model: ReferenceModel) -> bool:
    """Tell whether the counts of a model's cells are read from disk when they are needed."""
    return isinstance(model.adata_manager.get_from_registry("X"), CountsOnDisk)


def _observed(
    module: Any, tensors: dict[str, torch.Tensor], groupings: Any, layers: Sequence[str]
) -> dict[str, torch.Tensor]:
    with caught(module, layers) as activations:
        inference, _ = module(tensors, compute_loss=False)
    posterior = inference["qz"]
    library = inference["library"] if "library" in inference else inference["library_gene"].log()  # totalVI
    observed = {"z_mean": posterior.loc, "z_var": posterior.scale.square(), "library": library}
    observed |= {f"layer {layer}": values for layer, values in activations.items()}
    observed |= {f"group {name}": tensors[one.tensor][:, one.column].long() for name, one in groupings.items()}
    if "extra_continuous_covs" in tensors:
        observed["continuous"] = tensors["extra_continuous_covs"]
    return observed
