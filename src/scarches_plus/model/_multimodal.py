"""Cells with genes and proteins, as a model that was set up with MuData takes them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scarches_plus.pp._counts import counts_layer

from ._prepare import missing_column

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from scarches_plus._reference import ReferenceSpec


def gene_cells(adata: AnnData | MuData, spec: ReferenceSpec, batch_key: str | None = None) -> AnnData:
    """Return the genes of cells, with all columns that the model reads in ``obs``.

    Parameters
    ----------
    adata
        Cells; not changed. AnnData comes back as it is.
    spec
        What the reference expects.
    batch_key
        Where the cells keep batches, if not where the reference does.

    Raises
    ------
    TypeError
        If the model knows no modalities.
    KeyError
        If the modality of the genes, or a column, is missing.
    ValueError
        If there are cells without genes.
    """
    if not isinstance(adata, MuData):
        return adata
    if not spec.modalities:
        message = "this model was set up with AnnData: pass the modality of the genes, such as mdata.mod['rna']"
        raise TypeError(message)
    name = spec.modalities["genes"]
    if name not in adata.mod:
        message = f"modality {name!r} of the genes not found in the MuData, which holds {list(adata.mod)}"
        raise KeyError(message)
    genes = adata.mod[name]
    _require_same_cells(genes, adata, name)
    obs = genes.obs.copy()
    for key in _columns(spec, batch_key):
        table = _table_of(adata, key, spec.column_modalities.get(key))
        if key not in table:
            raise KeyError(missing_column(table, key))
        obs[key] = table[key].to_numpy()
    layers = {name: genes.layers[name] for name in genes.layers if name is not None}  # from anndata 0.13 on None is X
    return AnnData(genes.X, obs, genes.var, dict(genes.uns), varm=dict(genes.varm), layers=layers)


def registrable(cells: AnnData, source: AnnData | MuData, spec: ReferenceSpec) -> AnnData | MuData:
    """Return prepared cells as scvi-tools registers them: with proteins, if the model has any.

    Parameters
    ----------
    cells
        Result of :func:`prepare_cells`.
    source
        Where the cells come from. Proteins of the reference that it lacks are 0 for all of its cells, by which totalVI
        knows that they were not measured.
    spec
        What the reference expects.

    Raises
    ------
    ValueError
        If there are cells without proteins beside others, or no protein has the name of one of the reference's.
    """
    if not spec.modalities:
        return cells
    names = spec.modalities["genes"], spec.modalities["proteins"]
    counts = _protein_counts(source, names[1], spec)
    layers = {} if spec.protein_layer is None else {spec.protein_layer: counts}
    proteins = AnnData(
        counts, pd.DataFrame(index=cells.obs_names), pd.DataFrame(index=list(spec.proteins)), layers=layers
    )
    with columns_stay_where_they_are():
        joint = MuData({names[0]: cells, names[1]: proteins})
        for key in _columns(spec, None):
            modality = spec.column_modalities.get(key)
            (joint.obs if modality is None else joint.mod[modality].obs)[key] = cells.obs[key].to_numpy()
    return joint


def columns_stay_where_they_are() -> AbstractContextManager[Any]:
    """Return a context in which mudata does not copy columns of modalities to the whole, as it does not from 0.4 on."""
    return mudata.set_options(pull_on_update=False) if hasattr(mudata, "set_options") else nullcontext()


def _protein_counts(source: AnnData | MuData, name: str, spec: ReferenceSpec) -> np.ndarray:
    found = source.mod.get(name) if isinstance(source, MuData) else None
    counts = np.zeros((source.n_obs, len(spec.proteins)), dtype=np.float32)
    if found is None:
        return counts
    _require_same_cells(found, source, name)
    position = found.var_names.get_indexer(pd.Index(spec.proteins))
    measured = np.flatnonzero(position >= 0)
    if not len(measured):
        message = (
            f"none of the proteins in modality {name!r}, such as {found.var_names[:3].tolist()}, is one of the reference's, "
            f"such as {list(spec.proteins[:3])}; rename them, or leave the modality out"
        )
        raise ValueError(message)
    layer = counts_layer(None, spec.protein_layer)
    values = found.X if layer is None else found.layers[layer]
    taken = values[:, position[measured]]
    counts[:, measured] = taken.toarray() if sparse.issparse(taken) else np.asarray(taken)
    return counts


def _columns(spec: ReferenceSpec, batch_key: str | None) -> Iterable[str]:
    batch = batch_key or spec.batch_key
    return filter(None, (batch, *spec.categorical_covariates, *spec.continuous_covariates, spec.size_factor_key))


def _table_of(adata: MuData, key: str, modality: str | None) -> Any:
    """Return the table that has a column: that of the modality where the reference had it, or any other that has it."""
    tables = [adata.obs if modality is None else adata.mod[modality].obs] if modality in {None, *adata.mod} else []
    tables += [adata.obs, *(part.obs for part in adata.mod.values())]
    return next((table for table in tables if key in table), tables[0])


def _require_same_cells(part: AnnData, whole: MuData, name: str) -> None:
    if not part.obs_names.equals(whole.obs_names):
        message = (
            f"modality {name!r} has {part.n_obs} of the {whole.n_obs} cells, or has them in another order; keep the cells "
            "that have every modality (mudata's `intersect_obs`), or leave the modality out"
        )
        raise ValueError(message)
