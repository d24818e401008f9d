"""Cells of a matrix: reference and query with counts, ``batch`` and ``cell_type``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._normalize import log_normalized
from ._study import UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

    from ._config import Data


def reference_and_query(data: Data, folder: Path | None, seed: int, fraction: float = 1.0) -> tuple[AnnData, AnnData]:
    """Return reference and query of a data set, on the genes that vary most in the reference.

    A data set of more than ``data.cells`` cells is thinned to so many, always the same; ``fraction`` of the cells of
    every batch are then drawn anew with each seed.
    """
    cells = _normalized(_read(data, folder, seed), data)
    if data.cells is not None and data.cells < cells.n_obs:
        cells = _drawn(cells, data.cells / cells.n_obs, 0)
    if fraction < 1:
        cells = _drawn(cells, fraction, seed)
    batches = cells.obs["batch"]
    if unknown := sorted(set(data.query) - set(batches)):
        raise ValueError(f"query: there are no batches {unknown}; the data have {sorted(set(batches))}")
    of_query = batches.isin(data.query).to_numpy()
    if of_query.all():
        raise ValueError("query: names every batch, and leaves none for the reference")
    if unknown := sorted(set(data.hold_out) - set(cells.obs["cell_type"])):
        raise ValueError(f"hold_out: there are no cell types {unknown}")
    kept = ~of_query & ~cells.obs["cell_type"].isin(data.hold_out).to_numpy()
    genes = _variable_genes(cells[kept], data.genes)
    parts = (cells[rows][:, genes].copy() for rows in (kept, of_query))
    reference, query = (part[np.asarray(part.X.sum(axis=1)).ravel() > 0].copy() for part in parts)
    return reference, query


def _read(data: Data, folder: Path | None, seed: int) -> AnnData:
    import anndata

    import scarches_plus as sp

    if data.builtin == "pbmc68k":
        return sp.datasets.pbmc68k()
    if data.builtin == "simulated":
        return sp.datasets.simulate(**{"rng": seed, **data.parameters})
    path = data.file if folder is None else folder / data.file
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; --data-dir says where the files of the matrix lie")
    return anndata.read_h5ad(path)


def _normalized(cells: AnnData, data: Data) -> AnnData:
    """Return the cells with counts, and text in ``batch`` and ``cell_type`` alone."""
    import pandas as pd
    from anndata import AnnData
    from scipy import sparse

    for field, column in {"batch": data.batch, "labels": data.labels}.items():
        if column not in cells.obs:
            raise KeyError(f"{field}: the cells have no column {column!r}, but {sorted(cells.obs)}")
    labels = cells.obs[data.labels].astype(object)
    labels = labels.where(labels.notna() & (labels != data.unlabelled), UNKNOWN)
    columns = {"batch": cells.obs[data.batch].astype(object), "cell_type": labels}
    obs = pd.DataFrame({name: values.map(str).to_numpy(dtype=object) for name, values in columns.items()})
    obs.index = cells.obs_names.astype(str)
    counts = sparse.csr_matrix(cells.X, dtype=np.float32)
    return AnnData(counts, obs, pd.DataFrame(index=cells.var_names.astype(str)))


def _drawn(cells: AnnData, fraction: float, seed: int) -> AnnData:
    """Return a share of the cells of every batch."""
    rows = cells.obs.assign(row=range(cells.n_obs)).groupby("batch").sample(frac=fraction, random_state=seed)["row"]
    return cells[np.sort(rows)].copy()


def _variable_genes(reference: AnnData, n_genes: int) -> np.ndarray:
    import scanpy as sc

    if reference.n_vars <= n_genes:
        return np.ones(reference.n_vars, dtype=bool)
    reference = log_normalized(reference)
    sc.pp.highly_variable_genes(reference, n_top_genes=n_genes)
    return reference.var["highly_variable"].to_numpy()
