"""Compute latent posterior variances of cells whose batches a model knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus.model._registration._groupings import registered

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def latent_variances(model: Any, cells: AnnData | MuData) -> np.ndarray:
    """Return the variances of the latent posterior, shape ``(n_cells, n_latent)``; means are those of ``model.embed``.

    Raises
    ------
    ValueError
        If the model does not know a batch or category of the cells.
    """
    with registered(model, cells) as known:
        return np.asarray(model.get_latent_representation(known, return_dist=True)[1], dtype=np.float32)
