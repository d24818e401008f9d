"""Search nearest neighbours with pynndescent, by descent in a graph of neighbours."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from pynndescent import NNDescent

from ._exact import Exact
from ._ranking import nearest_of
from ._single import Single

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_GRAPH = 30  # neighbours of a cell in the graph
_FEWEST = 50  # candidates at least


class PyNNDescent:
    """Graph of reference cells, made again each time: it can be saved as a pickle only, which nobody should open.

    Seeded. More candidates than wanted are ranked in float64, which recovers what float32 and the search missed.
    """

    def __init__(
        self, reference: NDArray, n_jobs: int | None = None, saved: Mapping[str, NDArray] | None = None
    ) -> None:
        self.reference, self.n_jobs, self.frame = reference, n_jobs, Single(reference)

    def save(self) -> dict[str, NDArray]:
        """Return nothing."""
        return {}

    def query(self, query: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the `k` nearest reference cells and their distances."""
        n = len(self.reference)
        within = query is self.reference
        n_graph = min(n, max(k, _GRAPH) if within else _GRAPH)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Failed to correctly find n_neighbors")  # repaired below
            index = NNDescent(self.frame(self.reference), n_neighbors=n_graph, random_state=0, n_jobs=self.n_jobs)
            if within:
                found = index.neighbor_graph[0]
            else:  # one thread: parallel queries share a random state and do not repeat
                found = index.query(self.frame(query), k=min(n, max(k, _FEWEST)), epsilon=0.3)[0]
        found = found.astype(np.int64)
        incomplete = (found < 0).any(axis=1)
        if incomplete.any():
            found[incomplete] = Exact(self.reference, self.n_jobs).query(query[incomplete], found.shape[1])[0]
        return nearest_of(query, self.reference, found, k)
