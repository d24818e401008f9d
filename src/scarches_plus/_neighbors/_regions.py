"""Divide reference cells into regions, each around one of them."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from ._threads import for_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ._single import Single

_SIZE = 96  # reference cells of a region, on average
_MOST = 8192  # regions at most
_SCORES = 2**20  # scores that one thread holds


class Regions:
    """Reference cells divided among some of them, each taking those nearest to it.

    Which cell is in which region decides how fast a search is, never what it finds: the radius of every region is that
    of the cells it has.

    Parameters
    ----------
    frame
        Of the reference.
    n_threads
        Number of threads.
    saved
        What :meth:`save` returned for the same cells.
    """

    def __init__(self, frame: Single, n_threads: int, saved: Mapping[str, NDArray] | None = None) -> None:
        self.frame, reference = frame, frame.reference
        if saved is None:
            n_centers = min(_MOST, ceil(len(reference) / _SIZE))
            chosen = np.random.default_rng(0).choice(len(reference), n_centers, replace=False)
            self.centers = frame.centred(reference[chosen])
        else:
            self.centers = frame.centred(saved["centers"])
        self.squares = np.einsum("id,id->i", self.centers, self.centers)
        self.region = self.nearest(reference, n_threads) if saved is None else saved["regions"].astype(np.int64)
        self.order = np.argsort(self.region, kind="stable")
        self.sizes = np.bincount(self.region, minlength=len(self.centers))
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.radius = np.full(len(self.centers), -np.inf)
        for rows, cells in frame.blocks():
            of = self.region[rows]
            np.maximum.at(self.radius, of, np.linalg.norm(cells - self.centers[of], axis=1))

    def save(self) -> dict[str, NDArray]:
        """Return centres, shape ``(n_regions, d)``, and the region of every cell, as plain arrays."""
        return {"centers": self.centers + self.frame.center, "regions": self.region.astype(np.int32)}

    def nearest(self, cells: NDArray, n_threads: int) -> NDArray[np.int64]:
        """Region of every cell, shape ``(n,)``."""
        region, step = np.empty(len(cells), dtype=np.int64), max(1, _SCORES // len(self.centers))

        def find(start: int) -> None:
            scores = self.frame.centred(cells[start : start + step]) @ self.centers.T - self.squares / 2
            region[start : start + step] = scores.argmax(axis=1)

        for_each(range(0, len(cells), step), find, n_threads)
        return region

    def from_nearest(
        self, centred: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Return regions by a lower bound on the distance from any of the cells: bounds, sizes, regions."""
        squares = np.einsum("id,id->i", centred, centred)[:, None]
        apart = np.sqrt(np.maximum(squares + self.squares - 2 * centred @ self.centers.T, 0))
        slack = 1e-6 * np.sqrt(squares.max() + self.squares.max())  # rounding of the line above
        lower = apart.min(axis=0) - self.radius - slack
        order = np.argsort(lower)
        return lower[order], self.sizes[order], order

    def cells(self, regions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in `order` of the cells of some regions."""
        sizes = self.sizes[regions]
        ends = np.cumsum(sizes)
        return np.repeat(self.starts[regions] - ends + sizes, sizes) + np.arange(ends[-1])
