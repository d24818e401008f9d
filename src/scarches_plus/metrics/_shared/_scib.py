"""Call scib-metrics' functions on neighbours that are known already."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from scarches_plus._neighbors import Neighbors

#: Neighbours that each function looks at, as scib-metrics' own Benchmarker has it: the cell itself and those after it.
_LISI = 90
_KBET = 50
_GRAPH = 15
_ALPHA = 0.05  # p-value from which on kBET accepts the batches around a cell, the default of scib-metrics
_CHUNK = 2**12  # cells whose LISI is computed at once


def scib_functions(
    embedding: NDArray, neighbors: Neighbors, batches: NDArray, labels: NDArray
) -> dict[str, Callable[[], Any]]:
    """Return scib-metrics' functions by name, ready to be called.

    LISI and kBET return a value for each cell, float32 of shape ``(n,)``: their median, and their mean, are the score.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    neighbors
        Nearest other cells of every cell; with fewer than 89, what needs more takes what there is.
    batches, labels
        Codes, shape ``(n,)``.

    Notes
    -----
    A cell counts among its own neighbours in scib-metrics; from 0.6 on LISI leaves it out again.
    """
    import scib_metrics as scib

    embedding = np.ascontiguousarray(embedding, dtype=np.float32)
    around = partial(_with_self, neighbors)
    return {
        "iLISI": lambda: _ilisi(neighbors, batches),
        "cLISI": lambda: 1 - _ilisi(neighbors, labels),
        "kBET": lambda: np.asarray(scib.kbet(around(_KBET), batches)[2] >= _ALPHA, dtype=np.float32),
        "k-means": lambda: _renamed(scib.nmi_ari_cluster_labels_kmeans(embedding, labels), "k-means"),
        "Leiden": lambda: _renamed(scib.nmi_ari_cluster_labels_leiden(around(_GRAPH), labels), "Leiden"),
        "silhouette of labels": lambda: scib.silhouette_label(embedding, labels),
        "silhouette of batches": lambda: scib.silhouette_batch(embedding, labels, batches),
        "BRAS": lambda: scib.bras(embedding, labels, batches),
        "isolated labels (silhouette)": lambda: scib.isolated_labels(embedding, labels, batches),
        "kBET per label": lambda: scib.kbet_per_label(around(_KBET), batches, labels),
    }


def principal_component_regression(before: NDArray, after: NDArray, batches: NDArray) -> float:
    """Return scib-metrics' PCR comparison: by how much the variance that batches explain fell; 0 where it rose."""
    import scib_metrics as scib

    with catch_warnings():
        filterwarnings("ignore", message="PCR comparison score is negative")
        return float(scib.pcr_comparison(before, after, batches, categorical=True))


def _ilisi(neighbors: Neighbors, codes: NDArray) -> NDArray[np.floating]:
    """Return what scib-metrics' ``ilisi_knn`` takes the median of, in bounded memory.

    Its ``clisi_knn`` is 1 minus that of labels.
    """
    from scib_metrics.utils import compute_simpson_index

    n_cells, n_codes = len(codes), len(np.unique(codes))
    simpson = np.empty(n_cells, dtype=np.float32)
    last = max(0, n_cells - _CHUNK)
    for start in (*range(0, last, _CHUNK), last):  # chunks of one size: what is compiled serves them all
        rows = slice(start, start + _CHUNK)
        around = _with_self(neighbors, _LISI, rows)
        simpson[rows] = compute_simpson_index(
            knn_dists=around.distances,
            knn_idx=around.indices,
            row_idx=np.arange(n_cells)[rows, None],
            labels=codes,
            n_labels=n_codes,
            perplexity=around.n_neighbors // 3,
        )
    return (1 / simpson - 1) / (n_codes - 1)


def _with_self(neighbors: Neighbors, k: int, rows: slice = slice(None)) -> Any:
    from scib_metrics.nearest_neighbors import NeighborsResults

    cells = np.arange(len(neighbors.indices), dtype=np.int32)[rows]
    return NeighborsResults(
        indices=np.column_stack([cells, neighbors.indices[rows, : k - 1].astype(np.int32)]),
        distances=np.column_stack([np.zeros(len(cells)), neighbors.distances[rows, : k - 1]]).astype(np.float32),
    )


def _renamed(scores: dict[str, float], clustering: str) -> dict[str, float]:
    return {f"{name.upper()} {clustering}": float(value) for name, value in scores.items()}
