"""Search nearest neighbours (kNN) of cells in a reference or among themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse

from scarches_plus import _arguments as check

from ._index import searcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

_CHUNK = 2**20  # numbers that one step holds


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The nearest neighbours of every query cell, nearest first.

    Parameters
    ----------
    indices
        Rows of the reference, int64, shape ``(n_query, k)``.
    distances
        Euclidean distances, float64, shape ``(n_query, k)``.
    """

    indices: NDArray[Any]
    distances: NDArray[Any]


def nearest(
    query: ArrayLike,
    reference: ArrayLike,
    k: int,
    *,
    index: Mapping[str, Any] | None = None,
    n_jobs: int | None = None,
) -> Neighbors:
    """Find the `k` reference cells nearest to every query cell.

    Parameters
    ----------
    query
        Shape ``(n_query, d)``.
    reference
        Shape ``(n_reference, d)``. Single precision is not copied into double.
    k
        Number of neighbours, at most ``n_reference``.
    index
        What :func:`build_index` returned for the reference; one of other cells is left aside with a warning.
    n_jobs
        Number of threads; ``None`` or -1 takes all.

    Returns
    -------
    Neighbors of shape ``(n_query, k)``. Distances are computed in float64, whatever the method.

    Raises
    ------
    ValueError
        If the shapes do not match, a coordinate is not finite or `k` exceeds the cells available.
    """
    points, others = coordinates(query, "query"), coordinates(reference, "reference")
    if points.shape[1] != others.shape[1]:
        message = f"query has {points.shape[1]} dimensions and reference {others.shape[1]}: embed both with one model"
        raise ValueError(message)
    _check_k(k, len(others), "the reference has")
    return Neighbors(*searcher(others, len(points), index, n_jobs).query(points, k))


def nearest_within(
    embedding: ArrayLike, k: int, *, rows: ArrayLike | None = None, n_jobs: int | None = None
) -> Neighbors:
    """Find the `k` other cells nearest to every cell.

    A cell is left out of its own neighbours by its index; a duplicate of it at distance 0 stays.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    k
        Number of neighbours, at most ``n - 1``.
    rows
        Indices (repeats allowed) or mask of the cells whose neighbours are wanted; by default all.
    n_jobs
        Number of threads; ``None`` or -1 takes all.

    Returns
    -------
    Neighbors of shape ``(n, k)``, or ``(len(rows), k)``.

    Raises
    ------
    ValueError
        If a coordinate is not finite or `k` exceeds the other cells.
    """
    points = coordinates(embedding, "embedding")
    _check_k(k, len(points) - 1, "beside itself a cell has")
    own = np.arange(len(points))
    if rows is not None:
        own = own[np.asarray(rows)]
    cells = points if rows is None else points[own]
    indices, distances = searcher(points, len(cells), n_jobs=n_jobs).query(cells, k + 1)

    step = max(1, _CHUNK // (k + 1))
    for start in range(0, len(own), step):
        some = slice(start, start + step)
        others = indices[some] != own[some, None]
        others[others.all(axis=1), -1] = False  # a cell with more than k duplicates may be missing from its own list
        indices[some, :k] = indices[some][others].reshape(-1, k)
        distances[some, :k] = distances[some][others].reshape(-1, k)
    return Neighbors(indices[:, :k], distances[:, :k])


def dense(values: ArrayLike, name: str = "embedding") -> NDArray:
    """Return an array of the values; sparse ones are refused."""
    if issparse(values):
        message = f"{name} is sparse, and distances need all coordinates: give {name}.toarray()"
        raise ValueError(message)
    cells = np.asarray(values)
    return cells if cells.ndim and cells.dtype.kind in "biuf" else check.array(name, values)


def finite_cells(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Coordinates in float64, or an error that names what is wrong with them."""
    return coordinates(values, name).astype(np.float64, copy=False)


def coordinates(values: ArrayLike, name: str) -> NDArray:
    """Coordinates in float32 if they are that, else in float64, or an error that names what is wrong with them."""
    cells = dense(values, name)
    cells = np.ascontiguousarray(cells, dtype=np.float32 if cells.dtype == np.float32 else np.float64)
    if cells.ndim != 2 or 0 in cells.shape:
        message = f"{name} must have shape (cells, dimensions), both at least 1; its shape is {cells.shape}"
        raise ValueError(message)
    if n_bad := int((~np.isfinite(cells)).any(axis=1).sum()):
        message = f"{name} has NaN or infinite coordinates in {n_bad} of {len(cells)} cells: remove these cells first"
        raise ValueError(message)
    return cells


def _check_k(k: int, available: int, who: str) -> None:
    if not 1 <= k <= available:
        message = f"cannot find k={k} neighbours: {who} n={available} cells"
        raise ValueError(message)
