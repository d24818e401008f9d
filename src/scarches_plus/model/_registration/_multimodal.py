"""Prepare cells with genes and proteins for a model that was set up with MuData."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING
from warnings import catch_warnings, filterwarnings

import mudata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scarches_plus._cells import columns_of, counts_layer, in_memory, matrix_of, protein_cells, require_same_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scarches_plus._reference import ReferenceSpec


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
        for key in columns_of(spec, None):
            modality = spec.column_modalities.get(key)
            (joint.obs if modality is None else joint.mod[modality].obs)[key] = cells.obs[key].to_numpy()
    return joint


@contextmanager
def columns_stay_where_they_are() -> Iterator[None]:
    """Make MuData without copies of columns of modalities in the whole, as mudata does from 0.4 on.

    A protein may have the name of a gene, such as CD4, which mudata warns of.
    """
    own = mudata.set_options(pull_on_update=False) if hasattr(mudata, "set_options") else nullcontext()
    with own, catch_warnings():
        filterwarnings("ignore", message="var_names are not unique")
        yield


def _protein_counts(source: AnnData | MuData, name: str, spec: ReferenceSpec) -> np.ndarray:
    found = protein_cells(source, spec)
    counts = np.zeros((source.n_obs, len(spec.proteins)), dtype=np.float32)
    if found is None:
        return counts
    if isinstance(source, MuData):
        require_same_cells(found, source, name)
    position = found.var_names.get_indexer(pd.Index(spec.proteins))
    measured = np.flatnonzero(position >= 0)
    if not len(measured):
        where = f"modality {name!r}" if isinstance(source, MuData) else f"obsm[{name!r}]"
        message = (
            f"none of the proteins in {where}, such as {found.var_names[:3].tolist()}, is one of the reference's, "
            f"such as {list(spec.proteins[:3])}; rename them, or leave them out"
        )
        raise ValueError(message)
    layer = counts_layer(None, spec.protein_layer)
    taken = in_memory(matrix_of(found, layer), f"modality {name!r}")[:, position[measured]]
    counts[:, measured] = taken.toarray() if sparse.issparse(taken) else np.asarray(taken)
    return counts
