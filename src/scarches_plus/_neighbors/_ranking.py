"""Rank candidates for nearest neighbours by their distances in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS = 2**20  # numbers that one step holds


def nearest_of(
    query: NDArray, reference: NDArray, candidates: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank candidates, shape ``(n_query, at least k)``, by their distance, equal ones by index."""
    indices, distances = np.empty((len(query), k), dtype=np.int64), np.empty((len(query), k))
    step = max(1, _NUMBERS // (candidates.shape[1] * reference.shape[1]))
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        difference = reference[candidates[rows]].astype(np.float64)
        difference -= query[rows, None]
        apart = np.sqrt(np.einsum("ikd,ikd->ik", difference, difference))
        order = np.lexsort((candidates[rows], apart))[:, :k]
        indices[rows] = np.take_along_axis(candidates[rows], order, axis=1)
        distances[rows] = np.take_along_axis(apart, order, axis=1)
    return indices, distances
