"""Search nearest neighbours with cuML, by brute force on a GPU."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from ._ranking import nearest_of
from ._single import Single

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NearestNeighbors = import_module("cuml.neighbors").NearestNeighbors  # of RAPIDS, which has an installer of its own

_SPARE = 16  # candidates beyond k, for what single precision cannot tell apart
_BLOCK = 2**16  # query cells that one step takes


class CuML:
    """Reference cells on a GPU, which a search compares with all; what it finds is ranked in float64."""

    def __init__(
        self, reference: NDArray, n_jobs: int | None = None, saved: Mapping[str, NDArray] | None = None
    ) -> None:
        self.reference, self.frame = reference, Single(reference)
        self.index = NearestNeighbors(algorithm="brute", output_type="numpy").fit(self.frame(reference))

    def save(self) -> dict[str, NDArray]:
        """Return nothing: there is nothing to build."""
        return {}

    def query(self, query: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the `k` nearest reference cells and their distances."""
        n_candidates = min(k + _SPARE, len(self.reference))
        indices, distances = np.empty((len(query), k), dtype=np.int64), np.empty((len(query), k))
        for start in range(0, len(query), _BLOCK):
            rows = slice(start, start + _BLOCK)
            candidates = self.index.kneighbors(self.frame(query[rows]), n_candidates, return_distance=False)
            indices[rows], distances[rows] = nearest_of(query[rows], self.reference, candidates.astype(np.int64), k)
        return indices, distances
