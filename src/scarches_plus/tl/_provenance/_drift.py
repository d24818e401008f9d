"""Measure the drift of a reference when a query was mapped onto it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus._cells import names_of
from scarches_plus.metrics import reference_drift

if TYPE_CHECKING:
    from anndata import AnnData

    from scarches_plus.model import SCANVI, SCVI

#: Reference cells on which drift is measured.
_CELLS = 2000
_NEIGHBORS = 15


def measure_drift(reference: SCVI | SCANVI, mapped: SCVI | SCANVI, cells: AnnData | None, key: str) -> dict[str, float]:
    """Return how far weights and, where there are cells, these moved; numbers only, as records hold them.

    Parameters
    ----------
    reference, mapped
        Models before and after.
    cells
        Reference cells; ``None`` takes those of the model.
    key
        ``obsm`` slot of the cells' embedding by the first reference, if they have one.
    """
    from scarches_plus.model import embed_checked, mean_elbo, weight_change

    drift = {"weights": weight_change(reference, mapped)}
    if cells is None:
        cells = reference.adata if reference.minified_data_type is None else None
    if cells is None or cells.n_obs <= 1:
        return drift
    if cells.n_obs > _CELLS:
        cells = cells[np.linspace(0, cells.n_obs - 1, _CELLS).astype(int)]
    labels_key = reference.spec.labels_key
    labels = names_of(cells.obs[labels_key]).astype(str) if labels_key in cells.obs else None
    k = min(_NEIGHBORS, cells.n_obs - 1)
    before, after = embed_checked(reference, cells), embed_checked(mapped, cells)
    step = reference_drift(before, after, labels, k=k)
    drift |= {"cells": cells.n_obs} | _numbers(step)
    drift |= {"max_displacement": step.max_displacement}
    if step.moved:  # else it is the same by construction, and takes longer than the mapping
        drift |= {"elbo_before": mean_elbo(reference, cells), "elbo_after": mean_elbo(mapped, cells)}
    if key in cells.obsm and cells.obsm[key].shape == after.shape:
        total = reference_drift(cells.obsm[key], after, labels, k=k)
        drift |= {f"total_{name}": value for name, value in _numbers(total).items()}
    return drift


def _numbers(drift: object) -> dict[str, float]:
    names = ("rmsd", "relative_rmsd", "neighbor_preservation", "label_agreement")
    values = {name: getattr(drift, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
