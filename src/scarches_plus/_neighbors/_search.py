"""Search nearest neighbours (kNN), exactly while that is quick, else with pynndescent."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse

from scarches_plus import _arguments as check

from ._exact_neighbors import exact_neighbors, nearest_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Query cells x reference cells up to which the search is exact: 500,000 cells among themselves.
EXACT_PAIRS = 2.5e11

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


def nearest(query: ArrayLike, reference: ArrayLike, k: int, *, n_jobs: int | None = None) -> Neighbors:
    """Find the `k` reference cells nearest to every query cell.

    Parameters
    ----------
    query
        Shape ``(n_query, d)``.
    reference
        Shape ``(n_reference, d)``.
    k
        Number of neighbours, at most ``n_reference``.
    n_jobs
        Number of threads; ``None`` or -1 takes all.

    Returns
    -------
    Neighbors of shape ``(n_query, k)``. Distances are computed in float64 from centred coordinates in either regime.

    Raises
    ------
    ValueError
        If the shapes do not match, a coordinate is not finite or `k` exceeds the cells available.
    """
    points, others = finite_cells(query, "query"), finite_cells(reference, "reference")
    if points.shape[1] != others.shape[1]:
        message = f"query has {points.shape[1]} dimensions and reference {others.shape[1]}: embed both with one model"
        raise ValueError(message)
    _check_k(k, len(others), "the reference has")
    center = others.mean(axis=0)
    return Neighbors(*_search(points - center, others - center, k, n_jobs))


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
    points = finite_cells(embedding, "embedding")
    _check_k(k, len(points) - 1, "beside itself a cell has")
    points = points - points.mean(axis=0)
    own = np.arange(len(points))
    if rows is not None:
        own = own[np.asarray(rows)]
    indices, distances = _search(points if rows is None else points[own], points, k + 1, n_jobs)

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
    cells = np.ascontiguousarray(dense(values, name), dtype=np.float64)
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


def _search(
    query: NDArray, reference: NDArray, k: int, n_jobs: int | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if len(query) * len(reference) <= EXACT_PAIRS:
        return exact_neighbors(query, reference, k, n_jobs)
    candidates = _approximate(query, reference, k, n_jobs)
    indices, distances = np.empty((len(query), k), dtype=np.int64), np.empty((len(query), k))
    step = max(1, _CHUNK // (candidates.shape[1] * reference.shape[1]))
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        indices[rows], distances[rows] = nearest_of(query[rows], reference, candidates[rows], k)
    return indices, distances


def _approximate(query: NDArray, reference: NDArray, k: int, n_jobs: int | None) -> NDArray[np.int64]:
    """Return more candidates than wanted, for ranking them exactly.

    The ranking recovers what float32 and the search missed.
    """
    from pynndescent import NNDescent

    within = query is reference
    n_graph = min(len(reference), max(k, 30) if within else 30)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Failed to correctly find n_neighbors")  # repaired below
        index = NNDescent(reference.astype(np.float32), n_neighbors=n_graph, random_state=0, n_jobs=n_jobs)
        if within:
            found = index.neighbor_graph[0]
        else:  # one thread: parallel queries share a random state and do not repeat
            found = index.query(query.astype(np.float32), k=min(len(reference), max(k, 50)), epsilon=0.3)[0]
    found = found.astype(np.int64)
    incomplete = (found < 0).any(axis=1)
    if incomplete.any():
        found[incomplete] = exact_neighbors(query[incomplete], reference, found.shape[1], n_jobs)[0]
    return found
