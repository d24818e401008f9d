"""Propagate labels on a graph.

Pure functions of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Parts of a sweep. The cells of a part are looked at together, so that each sees nearly all the others up to date.
_PARTS = 64


@dataclass(frozen=True, eq=False)
class Propagation:
    """Communities of a graph.

    Parameters
    ----------
    labels
        Community of every node, int64, shape ``(n,)``; 0 is the largest.
    sweeps
        Sweeps done.
    converged
        Whether every node has a label that no other label outnumbers among its neighbours.
    """

    labels: NDArray[np.int64]
    sweeps: int
    converged: bool


def symmetric_graph(indices: ArrayLike) -> sparse.csr_matrix:
    """Return the graph that joins two cells if one of them is among the nearest of the other.

    Parameters
    ----------
    indices
        Neighbours of every cell, without itself, shape ``(n, k)``.

    Returns
    -------
    scipy.sparse.csr_matrix
        Ones, symmetric, shape ``(n, n)``.
    """
    indices = np.asarray(indices)
    n, k = indices.shape
    ones = np.ones(n * k, dtype=np.float32)
    directed = sparse.csr_matrix((ones, indices.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    return directed.maximum(directed.T.tocsr())


def propagate(graph: sparse.csr_matrix, *, max_sweeps: int, rng: np.random.Generator | int | None = 0) -> Propagation:
    """Give every node the label that most of its neighbours have, until none has to change.

    All nodes start with labels of their own. A node keeps its label while no other outnumbers it, else takes one of the
    most frequent at random. A sweep visits, in random order and in 64 parts, those nodes whose neighbours changed since
    their last visit; a part is updated at once. Communities that fell apart are split at the end, which leaves the
    fixed point.

    Parameters
    ----------
    graph
        Symmetric, with positive weights and an empty diagonal, shape ``(n, n)``.
    max_sweeps
        Sweeps at most.
    rng
        Generator or seed of the order and of ties.

    Returns
    -------
    Propagation

    References
    ----------
    Raghavan, Albert and Kumara (2007), Near linear time algorithm to detect community structures in large-scale
    networks.
    """
    rng = np.random.default_rng(rng)
    n = graph.shape[0]
    belongs = sparse.identity(n, dtype=graph.dtype, format="csr")  # row i has its one in the column of i's label
    labels = belongs.indices
    waiting, sweeps = np.ones(n, dtype=bool), 0
    while waiting.any() and sweeps < max_sweeps:
        sweeps += 1
        order = rng.permutation(np.flatnonzero(waiting))
        for part in np.array_split(order, min(_PARTS, len(order))):
            neighbors = graph[part]
            before = labels[part]
            after = majority(neighbors @ belongs, before, rng)
            labels[part] = after
            waiting[part] = False
            waiting[neighbors[after != before].indices] = True
    return Propagation(by_size(_connected(graph, labels)), sweeps, not waiting.any())


def majority(votes: sparse.csr_matrix, own: NDArray, rng: np.random.Generator) -> NDArray:
    """Return the label with most votes: one's own if it is among them, else one of them at random.

    Parameters
    ----------
    votes
        Votes for labels, positive where stored, shape ``(n, n_labels)``.
    own
        Present labels, shape ``(n,)``, kept without any vote.
    rng
        Decides ties.
    """
    row = np.repeat(np.arange(len(own)), np.diff(votes.indptr))
    most = votes.max(axis=1).toarray().ravel()
    best = np.flatnonzero(votes.data == most[row])
    row, label = row[best], votes.indices[best]
    n_best = np.bincount(row, minlength=len(own))
    keep = n_best == 0
    keep[row[label == own[row]]] = True
    chosen = np.cumsum(n_best) - n_best + (rng.random(len(own)) * n_best).astype(np.int64)
    return np.where(keep, own, label[np.minimum(chosen, len(label) - 1)] if len(label) else own)


def by_size(labels: ArrayLike) -> NDArray[np.int64]:
    """Number labels from 0, the most frequent; of equally frequent ones the first to occur comes first."""
    _, first, inverse, size = np.unique(np.asarray(labels), return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[inverse]


def _connected(graph: sparse.csr_matrix, labels: NDArray) -> NDArray:
    """Return labels that differ wherever no path of one label leads from node to node."""
    edges = graph.tocoo()
    same = labels[edges.row] == labels[edges.col]
    inside = sparse.csr_matrix((edges.data[same], (edges.row[same], edges.col[same])), shape=graph.shape)
    return connected_components(inside, directed=False)[1]
