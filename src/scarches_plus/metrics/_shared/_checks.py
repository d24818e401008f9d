"""Check the input of metrics: columns, batches, rows and neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def as_column(values: ArrayLike) -> NDArray:
    """Return an array of the values; a missing one in a list stays missing beside strings."""
    return np.asarray(values, dtype=object) if isinstance(values, list | tuple) else np.asarray(values)


def coded_batches(batches: ArrayLike, n_cells: int, what: str = "batches") -> tuple[NDArray[np.int64], list[Any]]:
    """Integer codes of the batches and their names, in sorted order; batches without a cell do not count."""
    column = as_column(batches)
    if column.ndim != 1:
        given = f"its shape is {column.shape}" if column.ndim else f"it is {check.shown(batches)}"
        message = f"{what} must have one entry for each of the {n_cells} cells; {given}"
        raise TypeError(message)
    codes, names = pd.factorize(column, sort=True)
    if codes.shape != (n_cells,):
        message = f"{what} must have one entry for each of the {n_cells} cells; its shape is {codes.shape}"
        raise ValueError(message)
    if n_missing := int((codes < 0).sum()):
        message = f"{what} is missing for {n_missing} of {n_cells} cells: remove these cells first"
        raise ValueError(message)
    return codes.astype(np.int64), np.asarray(names).tolist()


def rows_of(cells: ArrayLike, n_cells: int, what: str = "cells") -> NDArray:
    """Return rows of cells, from their indices or from booleans for all of them."""
    rows = np.asarray(cells)
    if rows.ndim != 1 or rows.dtype.kind not in "iub" or (rows.dtype == bool and len(rows) != n_cells):
        message = f"{what} must be indices of cells, or {n_cells} booleans, not {check.shown(cells)}"
        raise TypeError(message)
    if rows.dtype == bool:
        return np.flatnonzero(rows)
    if n_bad := int(((rows < -n_cells) | (rows >= n_cells)).sum()):
        message = f"{what} has {n_bad} entries outside of 0 to {n_cells - 1}"
        raise ValueError(message)
    return rows


def first_neighbors(neighbors: NDArray, n_cells: int, k: int, what: str = "neighbors") -> NDArray:
    """Return the first `k` columns of given neighbours after checking them."""
    if neighbors.ndim != 2 or len(neighbors) != n_cells or not 1 <= k <= neighbors.shape[1]:
        message = f"{what} must have shape ({n_cells}, at least k={k}); its shape is {neighbors.shape}"
        raise ValueError(message)
    if neighbors.dtype.kind not in "iu":
        message = f"{what} must be indices of cells, whole numbers, not {neighbors.dtype}"
        raise ValueError(message)
    first = neighbors[:, :k]
    if n_self := int((first == np.arange(n_cells)[:, None]).any(axis=1).sum()):
        message = f"{what} lists {n_self} of {n_cells} cells as their own neighbour: drop each cell by its index"
        raise ValueError(message)
    if n_bad := int(((first < 0) | (first >= n_cells)).sum()):
        message = f"{what} has {n_bad} entries outside of 0 to {n_cells - 1}: search again with a complete result"
        raise ValueError(message)
    return first
