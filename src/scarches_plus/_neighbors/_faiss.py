"""Search nearest neighbours with faiss, in inverted lists of uncompressed vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from ._ranking import nearest_of
from ._single import Single

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_LISTS = 4  # times the square root of the number of cells
_PER_LIST = 64  # cells that k-means sees, for each list
_PROBES = 64  # lists that a search looks into
_SPARE = 16  # candidates beyond k, for what single precision cannot tell apart
_BLOCK = 2**16  # cells that one step takes


class Faiss:
    """Reference cells in lists around k-means centres, of which a search looks into those of the nearest centres.

    Seeded, and the same whatever the number of threads. What it looks into is ranked in float64.

    Parameters
    ----------
    reference
        Shape ``(n_reference, d)``, float32 or float64.
    n_jobs
        Number of threads; ``None`` or -1 takes all.
    saved
        What :meth:`save` returned for the same cells.
    """

    def __init__(
        self, reference: NDArray, n_jobs: int | None = None, saved: Mapping[str, NDArray] | None = None
    ) -> None:
        n, n_dims = reference.shape
        self.reference, self.frame = reference, Single(reference)
        self.n_threads = None if n_jobs == -1 else n_jobs
        n_lists = min(n, round(_LISTS * np.sqrt(n))) if saved is None else len(saved["centers"])
        self.index = faiss.IndexIVFFlat(faiss.IndexFlatL2(n_dims), n_dims, n_lists)
        self.lists = np.empty(n, dtype=np.int32)
        with threadpool_limits(self.n_threads):
            if saved is None:
                n_seen = min(n, _PER_LIST * n_lists)
                self.index.cp.min_points_per_centroid = 1  # no advice on how many to take
                self.index.train(self.frame(reference[np.random.default_rng(0).choice(n, n_seen, replace=False)]))
            else:
                self.index.quantizer.add(self.frame(saved["centers"]))
                self.index.is_trained = True
            for start in range(0, n, _BLOCK):
                rows = slice(start, start + _BLOCK)
                cells = self.frame(reference[rows])
                lists = self.index.quantizer.search(cells, 1)[1][:, 0] if saved is None else saved["regions"][rows]
                self.lists[rows] = lists
                lists = np.ascontiguousarray(lists, dtype=np.int64)
                self.index.add_core(len(cells), faiss.swig_ptr(cells), None, faiss.swig_ptr(lists))

    def save(self) -> dict[str, NDArray]:
        """Return centres, shape ``(n_lists, d)``, and the list of every cell, as plain arrays."""
        centers = self.index.quantizer.reconstruct_n(0, self.index.nlist)
        return {"centers": centers * self.frame.scale + self.frame.center, "regions": self.lists}

    def query(self, query: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the `k` nearest reference cells and their distances."""
        indices, distances = np.empty((len(query), k), dtype=np.int64), np.empty((len(query), k))
        for start in range(0, len(query), _BLOCK):
            rows = slice(start, start + _BLOCK)
            candidates = self._candidates(self.frame(query[rows]), min(k + _SPARE, len(self.reference)))
            indices[rows], distances[rows] = nearest_of(query[rows], self.reference, candidates, k)
        return indices, distances

    def _candidates(self, cells: NDArray[np.float32], n_candidates: int) -> NDArray[np.int64]:
        """Return as many candidates as are wanted, from more lists where these hold fewer."""
        found = np.full((len(cells), n_candidates), -1)
        n_probes = _PROBES
        with threadpool_limits(self.n_threads):
            while len(short := np.flatnonzero((found < 0).any(axis=1))):
                self.index.nprobe = min(n_probes, self.index.nlist)  # all lists together hold enough
                found[short] = self.index.search(cells[short], n_candidates)[1]
                n_probes *= 4
        return found
