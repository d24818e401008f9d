"""Find exact nearest neighbours by matrix products in single precision, verified in double."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np

from ._ranking import nearest_of
from ._regions import Regions
from ._single import Single
from ._threads import blas_threads, for_each

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

_SCORES = 2**20  # scores that one thread holds
_ROWS = 512  # query cells that one step takes at most
_SPARE = 16  # candidates beyond k
_FIRST_LOOK = 8  # times as many cells as candidates tell how far to look


class Exact:
    """Reference cells in regions (:class:`~._regions.Regions`), of which a search skips those too far away.

    A region whose distance exceeds that of `k` cells already seen is skipped. In the others, scores
    :math:`x y - y^2 / 2 = (x^2 - |x - y|^2) / 2` in single precision single out a few more candidates than wanted, of
    which float64 differences pick the nearest. Bounds on the rounding and on the distance of what was skipped then
    prove for each cell that none was missed; cells without proof, such as those with many duplicates, are searched
    again in float64.

    Parameters
    ----------
    reference
        Shape ``(n_reference, d)``, float32 or float64.
    n_jobs
        Number of threads; ``None`` or -1 takes as many as BLAS.
    saved
        What :meth:`save` returned for the same cells.
    """

    def __init__(
        self, reference: NDArray, n_jobs: int | None = None, saved: Mapping[str, NDArray] | None = None
    ) -> None:
        self.reference, self.n_threads = reference, blas_threads() if n_jobs in (None, -1) else n_jobs
        self.frame = Single(reference)
        self.regions = Regions(self.frame, self.n_threads, saved)
        self.right = np.empty((len(reference), reference.shape[1] + 1), dtype=np.float32)
        for rows, centred in self.frame.blocks(self.regions.order):
            cells = centred / self.frame.scale
            self.right[rows] = np.column_stack([cells, -np.einsum("id,id->i", cells, cells) / 2])

    def save(self) -> dict[str, NDArray]:
        """Return what takes long to find, as plain arrays."""
        return self.regions.save()

    def query(self, query: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the `k` nearest reference cells, equal ones by index, and their distances, as rounded."""
        indices, distances = np.empty((len(query), k), dtype=np.int64), np.empty((len(query), k))
        proven = np.empty(len(query), dtype=bool)
        region = self.regions.nearest(query, self.n_threads)

        def search(rows: NDArray[np.int64]) -> None:
            indices[rows], distances[rows], proven[rows] = self._neighbors(query[rows], k)

        for_each(_together(region, np.arange(len(query))), search, self.n_threads)
        for rows in _together(region, np.flatnonzero(~proven)):
            farthest = float(distances[rows, -1].max())
            indices[rows], distances[rows] = self._in_float64(query[rows], k, farthest)
        return indices, distances

    def _neighbors(self, cells: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return the neighbours of cells near to each other, their distances, and whether there can be no others."""
        n_candidates = min(k + _SPARE, len(self.reference))
        centred = self.frame.centred(cells)
        left = np.column_stack([self.frame(cells), np.ones(len(cells), dtype=np.float32)])
        lower, sizes, order = self.regions.from_nearest(centred)
        n_seen = int(np.searchsorted(np.cumsum(sizes), _FIRST_LOOK * n_candidates)) + 1
        reach = self._reach(left, self.regions.cells(order[:n_seen]), k)
        n_seen = max(n_seen, int(np.searchsorted(lower, reach, "right")))
        candidates, bar = self._candidates(left, self.regions.cells(order[:n_seen]), n_candidates)
        indices, distances = nearest_of(cells, self.reference, candidates, k)
        beyond = lower[n_seen] if n_seen < len(lower) else np.inf
        return indices, distances, self._proven(centred, distances[:, -1], bar) & (distances[:, -1] < beyond)

    def _reach(self, left: NDArray[np.float32], members: NDArray[np.int64], k: int) -> float:
        """Largest distance to the k-th nearest of some cells, to single precision."""
        scores = left @ self.right[members].T
        kth = np.partition(scores, len(members) - k, axis=1)[:, len(members) - k]
        squares = np.einsum("id,id->i", left[:, :-1], left[:, :-1]) - 2 * kth
        return float(np.sqrt(max(squares.max(), 0.0)) * self.frame.scale * 1.001)

    def _candidates(
        self, left: NDArray[np.float32], members: NDArray[np.int64], n_wanted: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Cells of highest score, and a score that no other member exceeds.

        Cells are dealt to groups, whose maxima tell where the best scores can be.
        """
        n = len(members)
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
        self, centred: NDArray[np.float64], farthest: NDArray[np.float64], bar: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Return whether every cell up to the `farthest` neighbour has a score above the bar.

        This holds whatever the rounding.
        """
        norm, farthest = np.linalg.norm(centred, axis=1) / self.frame.scale, farthest / self.frame.scale
        reach = norm + farthest  # the largest norm of a cell as near as that
        float32 = np.finfo(np.float32)
        rounding = (centred.shape[1] + 8) * (float32.eps * (norm * reach + reach**2 / 2) + float32.tiny)
        rounding += 8 * np.finfo(np.float64).eps * np.linalg.norm(self.frame.center) / self.frame.scale * reach
        return bar < (norm**2 - farthest**2) / 2 - rounding  # type: ignore[no-any-return]

    def _in_float64(self, cells: NDArray, k: int, farthest: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the neighbours of cells near to each other, none of them farther than `farthest`."""
        from sklearn.neighbors import NearestNeighbors

        centred = self.frame.centred(cells)
        lower, _, order = self.regions.from_nearest(centred)
        members = np.sort(self.regions.order[self.regions.cells(order[lower <= farthest])])
        n_candidates = min(k + _SPARE, len(members))
        index = NearestNeighbors(n_neighbors=n_candidates, algorithm="brute", n_jobs=self.n_threads)
        index.fit(self.frame.centred(self.reference[members]))
        candidates = members[index.kneighbors(centred, return_distance=False)]
        return nearest_of(cells, self.reference, candidates, k)


def _together(region: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows of cells whose nearest region is the same."""
    rows = rows[np.argsort(region[rows], kind="stable")]
    for same in np.split(rows, np.flatnonzero(np.diff(region[rows])) + 1):
        yield from (same[start : start + _ROWS] for start in range(0, len(same), _ROWS))


def _largest(values: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Positions of the `n` largest values of every row, in any order."""
    n_others = values.shape[1] - n
    return np.argpartition(values, n_others, axis=1)[:, n_others:] if n_others else np.argsort(values, axis=1)
