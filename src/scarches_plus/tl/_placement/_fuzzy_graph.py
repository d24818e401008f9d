"""Build UMAP's fuzzy graph of a reference, draw it, and find the unit of a picture.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.sparse import triu

from scarches_plus._neighbors import nearest_within

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import spmatrix

#: As scanpy draws.
_SPREAD, _MIN_DIST, _NEIGHBORS = 1.0, 0.5, 15
_SAMPLE = 20_000
#: Cells up to which UMAP takes 500 epochs.
_FEW = 10_000


def fuzzy_edges(latent: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[float, float], float]:
    """Return the edges of UMAP's fuzzy graph, the shape of its curve, and how far neighbours are apart.

    Parameters
    ----------
    latent
        Shape ``(n_cells, d)``.

    Returns
    -------
    tuple
        Pairs of cells, each once, shape ``(n_edges, 2)``; their weights in (0, 1], shape ``(n_edges,)``; the ``a`` and
        ``b`` of ``1 / (1 + a d^(2 b))``; and the mean distance of a cell from its neighbours.

    References
    ----------
    McInnes, Healy and Melville 2018 (UMAP).
    """
    graph, curve, distances = _fuzzy_graph(latent)
    edges = triu(graph, k=1).tocoo()
    pairs = np.column_stack([edges.row, edges.col]).astype(np.int64)
    return pairs, edges.data.astype(np.float64), curve, float(distances.mean())


def umap_of(latent: NDArray, seed: int) -> NDArray[np.float32]:
    """Return the UMAP that scanpy makes by default, shape ``(n_cells, 2)``."""
    from umap.umap_ import simplicial_set_embedding

    graph, curve, _ = _fuzzy_graph(latent)
    drawn = simplicial_set_embedding(
        latent, graph.tocoo(), n_components=2, initial_alpha=1.0, a=curve[0], b=curve[1], gamma=1.0,
        negative_sample_rate=5, n_epochs=500 if len(latent) <= _FEW else 200, init="spectral",
        random_state=np.random.RandomState(seed), metric="euclidean", metric_kwds={}, densmap=False, densmap_kwds={},
        output_dens=False,
    )[0]  # fmt: skip
    return np.array(drawn, dtype=np.float32)


def _fuzzy_graph(latent: NDArray) -> tuple[spmatrix, tuple[float, float], NDArray]:
    """Return UMAP's fuzzy graph, the shape of its curve, and the distances of neighbours."""
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set

    k = min(_NEIGHBORS, len(latent)) - 1
    found = nearest_within(latent, k)
    cells = np.arange(len(latent))[:, None]  # umap-learn counts the cell as its first neighbour
    graph = fuzzy_simplicial_set(
        latent, k + 1, np.random.RandomState(0), "euclidean",
        knn_indices=np.hstack([cells, found.indices]),
        knn_dists=np.hstack([np.zeros_like(cells, dtype=np.float32), found.distances.astype(np.float32)]),
    )[0]  # fmt: skip
    a, b = find_ab_params(_SPREAD, _MIN_DIST)
    return graph, (float(a), float(b)), found.distances


def unit_of(
    points: NDArray,
    edges: NDArray,
    weights: NDArray,
    curve: tuple[float, float],
    rng: np.random.Generator,
    *,
    negatives: int,
) -> float:
    """Return the length in the picture that stands for 1 in UMAP's curve: the one of least cross-entropy.

    A picture may be of any size; scanpy's UMAP has units of about 1.
    """
    ends = points[edges[rng.choice(len(edges), _SAMPLE, p=weights / weights.sum())]].astype(np.float64)
    near = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    far = np.linalg.norm(ends[:, 0] - rng.permutation(ends[:, 1]), axis=1)
    typical = np.linalg.norm(points - points.mean(axis=0), axis=1).mean()
    if not typical:
        return 1.0

    def cross_entropy(log_unit: float) -> float:
        near_odds, far_odds = (curve[0] * (one / np.exp(log_unit)) ** (2 * curve[1]) for one in (near, far))
        return float(np.log1p(near_odds).mean() + negatives * np.log1p(1 / np.maximum(far_odds, 1e-6)).mean())

    middle = np.log(typical)
    return float(np.exp(minimize_scalar(cross_entropy, bounds=(middle - 6, middle + 3), method="bounded").x))
