"""Measure the mean evidence lower bound (ELBO) of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from scarches_plus.train import evaluated

from ._groupings import load_tensors

if TYPE_CHECKING:
    from anndata import AnnData

    from scarches_plus.model._scanvi import SCANVI
    from scarches_plus.model._scvi import SCVI


def mean_elbo(model: SCVI | SCANVI, cells: AnnData) -> float:
    """Return the mean evidence lower bound of cells, by the same random numbers each time."""
    module, total = model.module, 0.0
    tensors = load_tensors(model, cells)
    with evaluated(module), torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for rows in torch.arange(cells.n_obs).split(256):
            *_, losses = module({name: values[rows].to(model.device) for name, values in tensors.items()})
            total += float(losses.reconstruction_loss_sum + losses.kl_local_sum)
    return -total / cells.n_obs
