"""Compute the graph connectivity of each label in the kNN graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense
from scarches_plus.metrics._shared._checks import coded_batches
from scarches_plus.metrics._shared._nearest import nearest_others

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def graph_connectivity(
    embedding: ArrayLike,
    labels: ArrayLike,
    *,
    k: int = 15,
    directed: bool = False,
    neighbors: ArrayLike | None = None,
) -> pd.Series:
    """Share of each label's cells that hang together in the graph of nearest neighbours.

    The graph is restricted to the cells of one label; the share is that of its largest connected component. The mean of
    the result is the score: every label counts the same.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    labels
        Label of every cell, shape ``(n,)``.
    k
        Number of nearest other cells that a cell has edges to.
    directed
        Join only cells that reach each other along the direction of the edges (strongly connected components), as
        scib-metrics does. By default an edge joins two cells whichever of them is near the other, as in scib.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already. Must not contain the cell itself.

    Returns
    -------
    Share per label, between one cell and 1, in sorted order of the labels.

    Raises
    ------
    ValueError
        If `labels` does not fit `embedding` or has missing values, `k` exceeds the other cells, or `neighbors` contains
        cells as neighbours of themselves.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    scib and scib-metrics count the cell among its own neighbours: their 15 neighbours are ``k=14``. A label reaches 1
    also where it overlaps with others, as long as it hangs together; see :func:`label_purity` for that.

    References
    ----------
    Luecken et al., Benchmarking atlas-level data integration in single-cell genomics (2022), "Graph connectivity"; the
    measure that CLCVAE (2022) reports.
    """
    k = check.whole("k", k, least=1)
    check.flags(directed=directed)
    codes, names = coded_batches(labels, len(dense(embedding)), "labels")
    indices = nearest_others(embedding, k, neighbors)
    within = codes[indices] == codes[:, None]
    starts = np.concatenate([[0], np.cumsum(within.sum(axis=1))])
    graph = csr_array((np.ones(starts[-1]), indices[within], starts), shape=(len(codes), len(codes)))
    _, components = connected_components(graph, directed=directed, connection="strong")

    _, one_of_each, sizes = np.unique(components, return_index=True, return_counts=True)
    largest = np.zeros(len(names))
    np.maximum.at(largest, codes[one_of_each], sizes)
    return pd.Series(largest / np.bincount(codes), index=pd.Index(names, name="label"), name="graph_connectivity")
