"""Build dummy AnnData or MuData for registering a model without cells.

The dummy cells are placeholders: a few of every category that the model knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scarches_plus.model._registration._multimodal import columns_stay_where_they_are

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scarches_plus._reference import ReferenceSpec

#: scvi-tools warns of batches with fewer.
_PER_CATEGORY = 3
_MOST_COUNTS = 9


def stand_ins(spec: ReferenceSpec) -> AnnData | MuData:
    """Return a few cells of every category that a model knows, in the order in which it knows them.

    Parameters
    ----------
    spec
        What the model expects.

    Returns
    -------
    AnnData, or MuData for a model that was set up with it.
    """
    categories = dict(spec.categorical_covariates)
    if spec.batch_key is not None:
        categories[spec.batch_key] = spec.batches
    if spec.labels_key is not None:
        unlabeled = () if spec.unlabeled_category is None else (spec.unlabeled_category,)
        categories[spec.labels_key] = (*spec.labels, *unlabeled)
    n_cells = _PER_CATEGORY * max([1, *map(len, categories.values())])
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    for key, values in categories.items():
        obs[key] = pd.Categorical(np.resize(np.array(values, dtype=object), n_cells), categories=list(values))
    for key in (*spec.continuous_covariates, *filter(None, [spec.size_factor_key])):
        obs[key] = 1.0
    genes = _with_layer(_few_counts(n_cells, len(spec.var_names)), obs, spec.var_names, spec.layer)
    if not spec.modalities:
        return genes
    counts = np.random.default_rng(0).integers(1, _MOST_COUNTS, (n_cells, len(spec.proteins))).astype(np.float32)
    proteins = _with_layer(counts, obs, spec.proteins, spec.protein_layer)
    with columns_stay_where_they_are():
        cells = MuData({spec.modalities["genes"]: genes, spec.modalities["proteins"]: proteins})
        cells.obs[obs.columns.tolist()] = obs
    return cells


def _few_counts(n_cells: int, n_genes: int) -> sparse.csr_matrix:
    """Return counts of the first gene only, so that a long list of genes takes no memory."""
    counts = sparse.lil_matrix((n_cells, n_genes), dtype=np.float32)
    counts[:, 0] = 1 + np.arange(n_cells)[:, np.newaxis] % _MOST_COUNTS
    return counts.tocsr()


def _with_layer(counts: Any, obs: pd.DataFrame, names: Sequence[str], layer: str | None) -> AnnData:
    layers = {} if layer is None else {layer: counts}
    return AnnData(counts, obs.copy(), pd.DataFrame(index=list(names)), layers=layers)
