"""Find exact nearest neighbours by matrix products in single precision, verified in double."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_SCORES = 2**20  # scores that one thread holds
_ROWS = 512  # query cells that one step takes at most
_REGION = 96  # reference cells of a region, on average
_MOST_REGIONS = 8192  # regions at most
_SPARE = 16  # candidates beyond k
_FIRST_LOOK = 8  # times as many cells as candidates tell how far to look


def exact_neighbors(
    query: NDArray[np.float64], reference: NDArray[np.float64], k: int, n_jobs: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the `k` reference cells nearest to every query cell, and their distances, as rounded; equal ones by index.

    The reference is divided into regions, the cells nearest to each of some of its cells; a region whose distance
    exceeds that of `k` cells already seen is skipped. In the others, scores
    :math:`x y - y^2 / 2 = (x^2 - |x - y|^2) / 2` in single precision single out a few more candidates than wanted, of
    which float64 differences pick the nearest. Bounds on the rounding and on the distance of what was skipped then
    prove for each cell that none was missed; cells without proof, such as those with many duplicates, are searched
    again in float64.

    Parameters
    ----------
    query, reference
        Shapes ``(n_query, d)`` and ``(n_reference, d)``; near the origin, rounding is least.
    k
        Number of neighbours, at most ``n_reference``.
    n_jobs
        Number of threads; ``None`` or -1 takes as many as BLAS.
    """
    indices = np.empty((len(query), k), dtype=np.int64)
    distances = np.empty((len(query), k))
    proven = np.empty(len(query), dtype=bool)
    n_threads = _blas_threads() if n_jobs in (None, -1) else n_jobs
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(n_threads) as pool:
        search = _Search(query, reference, k)
        blocks = iter(list(search.blocks()))

        def work() -> None:
            for rows in blocks:
                indices[rows], distances[rows], proven[rows] = search.neighbors(rows)

        for task in [pool.submit(work) for _ in range(n_threads)]:
            task.result()
    if not proven.all():
        rest = query[~proven]
        candidates = _in_float64(rest, reference, search.n_candidates, n_jobs)
        indices[~proven], distances[~proven] = nearest_of(rest, reference, candidates, k)
    return indices, distances


def nearest_of(
    query: NDArray[np.float64], reference: NDArray[np.float64], candidates: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank candidates, shape ``(n_query, at least k)``, by their distance, equal ones by index."""
    difference = reference[candidates] - query[:, None]
    distances = np.sqrt(np.einsum("ikd,ikd->ik", difference, difference))
    order = np.lexsort((candidates, distances))[:, :k]
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)


class _Search:
    def __init__(self, query: NDArray[np.float64], reference: NDArray[np.float64], k: int) -> None:
        self.query, self.reference, self.k = query, reference, k
        self.n_candidates = min(k + _SPARE, len(reference))
        self.scale = max(abs(query).max(), abs(reference).max()) or 1.0  # no overflow in float32
        self.regions = _Regions(reference)
        cells = reference[self.regions.order] / self.scale
        self.right = np.column_stack([cells, -np.einsum("id,id->i", cells, cells) / 2]).astype(np.float32)

    def blocks(self) -> Iterator[NDArray[np.int64]]:
        """Query cells that are near to each other."""
        region = self.regions.nearest(self.query)
        order = np.argsort(region, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(region[order])) + 1):
            yield from (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))

    def neighbors(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return the neighbours of query cells, their distances, and whether there can be no others."""
        cells = self.query[rows]
        left = np.column_stack([cells / self.scale, np.ones(len(cells))]).astype(np.float32)
        lower, sizes, order = self.regions.from_nearest(cells)
        n_seen = int(np.searchsorted(np.cumsum(sizes), _FIRST_LOOK * self.n_candidates)) + 1
        n_seen = max(
            n_seen, int(np.searchsorted(lower, self._reach(left, self.regions.cells(order[:n_seen])), "right"))
        )
        members = self.regions.cells(order[:n_seen])
        candidates, bar = self._candidates(left, members)
        indices, distances = nearest_of(cells, self.reference, candidates, self.k)
        beyond = lower[n_seen] if n_seen < len(lower) else np.inf
        return indices, distances, self._proven(cells, distances[:, -1], bar) & (distances[:, -1] < beyond)

    def _reach(self, left: NDArray[np.float32], members: NDArray[np.int64]) -> float:
        """Largest distance to the k-th nearest of some cells, to single precision."""
        scores = left @ self.right[members].T
        kth = np.partition(scores, len(members) - self.k, axis=1)[:, len(members) - self.k]
        squares = np.einsum("id,id->i", left[:, :-1], left[:, :-1]) - 2 * kth
        return float(np.sqrt(max(squares.max(), 0.0)) * self.scale * 1.001)

    def _candidates(
        self, left: NDArray[np.float32], members: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Cells of highest score, and a score that no other member exceeds.

        Cells are dealt to groups, whose maxima tell where the best scores can be.
        """
        n, n_wanted = len(members), self.n_candidates
        depth = max(1, n // max(n_wanted, ceil(sqrt(n_wanted * n))))
        n_groups = ceil(n / depth)
        right = np.zeros((n_groups * depth, self.right.shape[1]), dtype=np.float32)
        right[n:, -1] = np.finfo(np.float32).min / 2  # no cells: they fill the last groups
        right[:n] = self.right[members]
        candidates = np.empty((len(left), n_wanted), dtype=np.int64)
        bar = np.empty(len(left), dtype=np.float32)
        step = max(1, _SCORES // len(right))
        for start in range(0, len(left), step):
            rows = slice(start, start + step)
            scores = left[rows] @ right.T
            groups = _largest(scores.reshape(-1, depth, n_groups).max(axis=1), n_wanted)
            inside = (groups[:, None] + np.arange(depth)[:, None] * n_groups).reshape(len(scores), -1)
            scores = np.take_along_axis(scores, inside, axis=1)
            best = _largest(scores, n_wanted)
            candidates[rows] = self.regions.order[members[np.take_along_axis(inside, best, axis=1)]]
            bar[rows] = np.take_along_axis(scores, best, axis=1).min(axis=1) if n > n_wanted else -np.inf
        return candidates, bar

    def _proven(
        self, cells: NDArray[np.float64], farthest: NDArray[np.float64], bar: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Return whether every cell up to the `farthest` neighbour has a score above the bar.

        This holds whatever the rounding.
        """
        norm, farthest = np.linalg.norm(cells, axis=1) / self.scale, farthest / self.scale
        reach = norm + farthest  # the largest norm of a cell as near as that
        float32 = np.finfo(np.float32)
        rounding = (cells.shape[1] + 8) * (float32.eps * (norm * reach + reach**2 / 2) + float32.tiny)
        return bar < (norm**2 - farthest**2) / 2 - rounding  # type: ignore[no-any-return]


class _Regions:
    """The reference divided among some of its cells, each taking those nearest to it."""

    def __init__(self, reference: NDArray[np.float64]) -> None:
        n_centers = min(_MOST_REGIONS, ceil(len(reference) / _REGION))
        self.centers = reference[np.random.default_rng(0).choice(len(reference), n_centers, replace=False)]
        self.squares = np.einsum("id,id->i", self.centers, self.centers)
        region = self.nearest(reference)
        self.order = np.argsort(region, kind="stable")
        self.sizes = np.bincount(region, minlength=n_centers)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.radius = np.zeros(n_centers)
        np.maximum.at(self.radius, region, np.linalg.norm(reference - self.centers[region], axis=1))
        self.radius[self.sizes == 0] = -np.inf

    def nearest(self, cells: NDArray[np.float64]) -> NDArray[np.int64]:
        """Region of every cell, shape ``(n,)``."""
        region, step = np.empty(len(cells), dtype=np.int64), max(1, _SCORES // len(self.centers))
        for start in range(0, len(cells), step):
            scores = cells[start : start + step] @ self.centers.T - self.squares / 2
            region[start : start + step] = scores.argmax(axis=1)
        return region

    def from_nearest(
        self, cells: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Return regions by a lower bound on the distance from any of the cells: bounds, sizes, regions."""
        squares = np.einsum("id,id->i", cells, cells)[:, None]
        apart = np.sqrt(np.maximum(squares + self.squares - 2 * cells @ self.centers.T, 0))
        slack = 1e-6 * np.sqrt(squares.max() + self.squares.max())  # rounding of the line above
        lower = apart.min(axis=0) - self.radius - slack
        order = np.argsort(lower)
        return lower[order], self.sizes[order], order

    def cells(self, regions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in `order` of the cells of some regions."""
        sizes = self.sizes[regions]
        ends = np.cumsum(sizes)
        return np.repeat(self.starts[regions] - ends + sizes, sizes) + np.arange(ends[-1])


def _largest(values: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Positions of the `n` largest values of every row, in any order."""
    n_others = values.shape[1] - n
    return np.argpartition(values, n_others, axis=1)[:, n_others:] if n_others else np.argsort(values, axis=1)


def _in_float64(query: NDArray, reference: NDArray, k: int, n_jobs: int | None) -> NDArray[np.int64]:
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(reference)
    with threadpool_limits(None if n_jobs == -1 else n_jobs):  # this search ignores scikit-learn's n_jobs
        return index.kneighbors(query, return_distance=False)


def _blas_threads() -> int:
    return max((library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"), default=1)
