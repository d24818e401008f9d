"""What several metrics ask of their input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def as_column(values: ArrayLike) -> NDArray:
    """An array of the values; a missing one in a list stays missing beside strings."""
    return np.asarray(values, dtype=object) if isinstance(values, list | tuple) else np.asarray(values)


def coded_batches(batches: ArrayLike, n_cells: int, what: str = "batches") -> tuple[NDArray[np.int64], list[Any]]:
    """Integer codes of the batches and their names, in sorted order; batches without a cell do not count."""
    import pandas as pd

    codes, names = pd.factorize(as_column(batches), sort=True)
    if codes.shape != (n_cells,):
        message = f"{what} must have one entry for each of the {n_cells} cells; its shape is {codes.shape}"
        raise ValueError(message)
    if n_missing := int((codes < 0).sum()):
        message = f"{what} is missing for {n_missing} of {n_cells} cells: remove these cells first"
        raise ValueError(message)
    return codes.astype(np.int64), np.asarray(names).tolist()


def first_neighbors(neighbors: NDArray, n_cells: int, k: int) -> NDArray:
    """The first `k` columns of given neighbours, once they are what they should be."""
    if neighbors.ndim != 2 or len(neighbors) != n_cells or not 1 <= k <= neighbors.shape[1]:
        message = f"neighbors must have shape ({n_cells}, at least k={k}); its shape is {neighbors.shape}"
        raise ValueError(message)
    if neighbors.dtype.kind not in "iu":
        message = f"neighbors must be indices of cells, whole numbers, not {neighbors.dtype}"
        raise ValueError(message)
    first = neighbors[:, :k]
    if n_self := int((first == np.arange(n_cells)[:, None]).any(axis=1).sum()):
        message = f"neighbors lists {n_self} of {n_cells} cells as their own neighbour: drop each cell by its index"
        raise ValueError(message)
    if n_bad := int(((first < 0) | (first >= n_cells)).sum()):
        message = f"neighbors has {n_bad} entries outside of 0 to {n_cells - 1}: search again with a complete result"
        raise ValueError(message)
    return first
