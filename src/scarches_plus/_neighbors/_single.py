"""Put cells into single precision, where rounding is least."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_BLOCK = 2**16  # cells held in float64 at a time
_SAMPLE = 2**16  # cells that tell where the middle is
_FARTHEST = 1e18  # coordinate whose square single precision holds


class Single:
    """Frame of a reference: its middle is the origin, its largest coordinate 1, so that no product overflows."""

    def __init__(self, reference: NDArray) -> None:
        self.reference = reference
        some = reference[:: max(1, len(reference) // _SAMPLE)]
        self.center = np.median(some, axis=0).astype(np.float64)  # outliers would draw a mean away from all others
        self.scale = max(float(abs(cells).max()) for _, cells in self.blocks()) or 1.0

    def centred(self, cells: NDArray) -> NDArray[np.float64]:
        """Return cells in float64 about the middle, not scaled."""
        return cells.astype(np.float64) - self.center

    def __call__(self, cells: NDArray) -> NDArray[np.float32]:
        """Return cells in the frame; one that lies too far off is moved towards the reference."""
        return (self.centred(cells) / self.scale).clip(-_FARTHEST, _FARTHEST).astype(np.float32)

    def blocks(self, order: NDArray[np.int64] | None = None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Centred cells of the reference, in some order, and where they stand in it."""
        for start in range(0, len(self.reference), _BLOCK):
            rows = slice(start, start + _BLOCK)
            yield rows, self.centred(self.reference[rows if order is None else order[rows]])
