"""Keep some reference cells with a model, for penalties that compare a query with its reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ._activations import caught
from ._anchors import Anchors
from ._evaluated import evaluated
from ._penalty import LAYERS

if TYPE_CHECKING:
    from ._reference_model import ReferenceModel
_BATCH_SIZE = 512


@torch.no_grad()
def store_anchors(model: ReferenceModel, *, n_cells: int = 2000, rng: int | np.random.Generator = 0) -> Anchors:
    """Keep latent posteriors and hidden activations of some of a model's cells with the model.

    Cells are drawn from each batch alike. Counts are not kept, but anchors are data of single cells: a model that carries
    them tells more about its reference than one without. They belong to the model's latent space; once that moves, they
    are left behind.

    Parameters
    ----------
    model
        Reference model with its cells. It then carries the anchors through saving, loading and surgery.
    n_cells
        How many to keep, at most.
    rng
        Seed or generator of the choice.

    Returns
    -------
    Anchors
        What is kept.

    Raises
    ------
    ValueError
        If the model has no cells, or ``n_cells`` is not positive, or the latent distribution is not normal.
    """
    if model.adata is None or model.minified_data_type is not None:
        message = "anchors are taken from the model's cells, and this model came without their counts"
        raise ValueError(message)
    if n_cells < 1:
        message = f"n_cells must be at least 1, not {n_cells}"
        raise ValueError(message)
    if getattr(model.module, "latent_distribution", "normal") != "normal":
        message = (
            f"anchors are samples of a normal posterior, and latent_distribution={model.module.latent_distribution!r} "
            "transforms them; train the reference with latent_distribution='normal'"
        )
        raise ValueError(message)
    groupings = model.groupings
    batch = next(iter(groupings.values()))
    codes = np.asarray(model.adata_manager.get_from_registry(batch.tensor)).reshape(-1)
    rows = _drawn_alike(codes, n_cells, np.random.default_rng(rng))
    module = model.module
    parts: dict[str, list[torch.Tensor]] = {}
    with evaluated(module), torch.random.fork_rng(devices=[]):
        for tensors in model._make_data_loader(adata=model.adata, indices=rows, batch_size=_BATCH_SIZE):
            for name, value in _observed(
                module, {k: v.to(model.device) for k, v in tensors.items()}, groupings
            ).items():
                parts.setdefault(name, []).append(value.cpu())
    whole = {name: torch.cat(values) for name, values in parts.items()}
    anchors = Anchors(
        z_mean=whole["z_mean"],
        z_var=whole["z_var"],
        library=whole["library"],
        activations={layer: whole[f"layer {layer}"] for layer in LAYERS},
        groups={name: whole[f"group {name}"] for name in groupings},
        space=model.state.space,
        continuous=whole.get("continuous"),
    )
    model.remember(anchors=anchors)
    return anchors


def _observed(module: Any, tensors: dict[str, torch.Tensor], groupings: Any) -> dict[str, torch.Tensor]:
    with caught(module, LAYERS) as activations:
        inference, _ = module(tensors, compute_loss=False)
    posterior = inference["qz"]
    library = inference["library"] if "library" in inference else inference["library_gene"].log()  # totalVI
    observed = {"z_mean": posterior.loc, "z_var": posterior.scale.square(), "library": library}
    observed |= {f"layer {layer}": values for layer, values in activations.items()}
    observed |= {f"group {name}": tensors[one.tensor][:, one.column].long() for name, one in groupings.items()}
    if "extra_continuous_covs" in tensors:
        observed["continuous"] = tensors["extra_continuous_covs"]
    return observed


def _drawn_alike(codes: np.ndarray, n_cells: int, rng: np.random.Generator) -> list[int]:
    """Draw cells such that each group gives as many, or all it has."""
    order = rng.permutation(len(codes))
    shuffled = codes[order]
    rank = np.empty(len(codes), dtype=np.int64)  # of a cell among those of its group
    for code in np.unique(codes):
        members = np.flatnonzero(shuffled == code)
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank, kind="stable")[:n_cells]]).tolist()
