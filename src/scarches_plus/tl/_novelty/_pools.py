"""Average each cell with its nearest neighbours.

Pure functions of arrays: cells are pooled among their own, so that expression has less noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from scarches_plus._label_profiles import FLOOR
from scarches_plus._neighbors import Neighbors, nearest_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Other cells in a pool.
POOL = 15
#: Principal components in which neighbours are looked for.
_COMPONENTS = 20
#: Cells in a cluster on average, and how many clusters there are.
_PER_CLUSTER, _FEWEST_CLUSTERS, _MOST_CLUSTERS = 25, 3, 30
#: The neighbour whose distance is the width of the kernel that scores are smoothed with.
_WIDTH = 4


@dataclass(frozen=True, eq=False)
class Pools:
    """Cells with their nearest neighbours.

    Attributes
    ----------
    counts
        Raw counts, cells x genes.
    totals
        Counts of each cell, of all genes, shape ``(n_cells,)``.
    neighbors
        Of each cell among these cells.
    components
        Principal components of the cells, shape ``(n_cells, n_components)``.
    """

    counts: sparse.csr_matrix
    totals: NDArray
    neighbors: Neighbors
    components: NDArray

    def on_genes(self, columns: NDArray) -> Pools:
        """Return the pools on some genes, as shares of the counts of all genes."""
        return replace(self, counts=sparse.csr_matrix(self.counts[:, columns]))

    @cached_property
    def _members(self) -> NDArray[np.int64]:
        return np.column_stack([np.arange(self.counts.shape[0]), self.neighbors.indices])

    def logs(self, rows: NDArray | slice = slice(None)) -> NDArray[np.float32]:
        """Return ``log(share of a pool's counts + 0.001)`` of some cells' pools, shape ``(n_rows, n_genes)``."""
        members = self._members[rows]
        shape = len(members), self.counts.shape[0]
        starts = np.arange(0, members.size + 1, members.shape[1])
        belongs = sparse.csr_matrix((np.ones(members.size, np.float32), members.ravel(), starts), shape)
        sums = (belongs @ self.counts).toarray()
        total = self.totals[members].sum(axis=1, keepdims=True)
        shares = np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)
        return np.log(shares + np.float32(FLOOR))  # type: ignore[no-any-return]

    def smooth(self, values: NDArray) -> NDArray[np.float64]:
        """Return each cell's mean over its pool, weighted by a Gaussian of the distance."""
        distances = np.column_stack([np.zeros(len(values)), self.neighbors.distances])
        width = distances[:, [min(_WIDTH + 1, distances.shape[1] - 1)]]
        scaled = np.divide(distances, width, out=np.zeros_like(distances), where=width > 0)
        weights = np.exp(-0.25 * scaled**2)
        return (weights * values[self._members]).sum(axis=1) / weights.sum(axis=1)  # type: ignore[no-any-return]


def pooled(counts: Any) -> Pools:
    """Join each cell with its 15 nearest neighbours in 20 principal components of these cells alone.

    Parameters
    ----------
    counts
        Raw counts, cells x genes, sparse or dense.
    """
    counts = sparse.csr_matrix(counts, dtype=np.float32)
    components = own_components(counts)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    return Pools(counts, totals, nearest_within(components, min(POOL, counts.shape[0] - 1)), components)


def cluster_logs(pools: Pools, rng: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cluster cells by their components, and return the log expression and the number of cells of each cluster.

    Parameters
    ----------
    pools
        Cells.
    rng
        Seed of k-means.
    """
    from sklearn.cluster import KMeans

    n = len(pools.totals)
    wanted = min(int(np.clip(n // _PER_CLUSTER, _FEWEST_CLUSTERS, _MOST_CLUSTERS)), n // 3)
    label = KMeans(wanted, n_init=2, random_state=rng).fit_predict(pools.components)
    factors = np.divide(1, pools.totals, out=np.zeros(n), where=pools.totals > 0)
    sizes = np.bincount(label, minlength=wanted)
    means = sparse.csr_matrix((factors, (label, np.arange(n))), (wanted, n)) @ pools.counts
    return np.log(means.toarray() / np.maximum(sizes, 1)[:, None] + FLOOR)[sizes > 0], sizes[sizes > 0]


def own_components(counts: sparse.csr_matrix) -> NDArray[np.float32]:
    """Return principal components of ``log(1 + 1e4 x / sum x)``, shape ``(n_cells, at most 20)``."""
    from sklearn.decomposition import PCA

    total = np.asarray(counts.sum(axis=1)).ravel()
    factors = np.divide(1e4, total, out=np.zeros_like(total), where=total > 0)
    logs = sparse.csr_matrix(sparse.diags(factors) @ counts).log1p()
    n = min(_COMPONENTS, min(logs.shape) - 1)
    if min(logs.shape) <= 2 * _COMPONENTS:  # too small for the iterative solver
        return PCA(n, svd_solver="full").fit_transform(logs.toarray())  # type: ignore[no-any-return]
    return PCA(n, svd_solver="arpack", random_state=0).fit_transform(logs)  # type: ignore[no-any-return]
