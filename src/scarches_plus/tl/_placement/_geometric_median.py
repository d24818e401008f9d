"""Compute weighted geometric medians of many small sets of points at once.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_STEPS = 300
#: A median has arrived when a step is shorter than this share of the spread of its points.
_ARRIVED = 1e-7


def geometric_median(points: NDArray, weights: NDArray) -> NDArray[np.float64]:
    r"""Return the point of least weighted distance to the points of each set, :math:`\arg\min_y \sum_i w_i |x_i - y|`.

    Each search begins at the best of the points themselves. Where that is the median, as Vardi and Zhang tell, it is
    returned as it is; elsewhere Weiszfeld's steps lead from it downhill, and meet no other point on the way.

    Parameters
    ----------
    points
        Shape ``(n_sets, k, n_dimensions)``.
    weights
        Not negative, at least one of a set positive, shape ``(n_sets, k)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_sets, n_dimensions)``, in the convex hulls of the sets.

    References
    ----------
    Vardi and Zhang 2000, The multivariate L1-median and associated data depth.
    """
    points = points.astype(np.float64)
    weights = weights / weights.sum(axis=1, keepdims=True)
    spread = np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=2).max(axis=1)
    medians = np.take_along_axis(points, _best_points(points, weights)[:, None, None], axis=1)[:, 0]
    moving = np.arange(len(points))
    for _ in range(_MOST_STEPS):
        if not len(moving):
            break
        steps = _steps(points[moving], weights[moving], medians[moving], spread[moving])
        medians[moving] += steps
        moving = moving[np.linalg.norm(steps, axis=1) > _ARRIVED * spread[moving]]
    return medians


def _best_points(points: NDArray, weights: NDArray) -> NDArray[np.int64]:
    """Return which point of each set has the least weighted distance to the others."""
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=3)
    return np.einsum("skl,sl->sk", apart, weights).argmin(axis=1)


def _steps(points: NDArray, weights: NDArray, at: NDArray, spread: NDArray) -> NDArray[np.float64]:
    """Return Weiszfeld's steps, shortened where a set has points at the place itself (Vardi and Zhang)."""
    apart = points - at[:, None]
    distances = np.linalg.norm(apart, axis=2)
    here = distances <= 1e-12 * spread[:, None]
    pulls = np.divide(weights, distances, out=np.zeros_like(weights), where=~here)
    pull = np.einsum("sk,skd->sd", pulls, apart)
    strength, held = np.linalg.norm(pull, axis=1), (weights * here).sum(axis=1)
    free = np.maximum(0, 1 - np.divide(held, strength, out=np.ones_like(held), where=strength > 0))
    total = pulls.sum(axis=1)
    return (free / np.where(total > 0, total, 1))[:, None] * pull  # type: ignore[no-any-return]
