"""Measure the share of nearest neighbours that have a cell's own label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense
from scarches_plus.metrics._shared._checks import coded_batches
from scarches_plus.metrics._shared._nearest import nearest_others

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def label_purity(
    embedding: ArrayLike, labels: ArrayLike, *, k: int = 30, neighbors: ArrayLike | None = None
) -> pd.Series:
    """Share of each cell's neighbours that have its label, averaged over the cells of every label.

    The mean of the result is the score: every label counts the same, however many cells it has.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    labels
        Label of every cell, shape ``(n,)``.
    k
        Number of nearest other cells.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already. Must not contain the cell itself.

    Returns
    -------
    pandas.Series
        Mean share per label, between 0 and 1, in sorted order of the labels. A label of `m` cells reaches at most ``(m
        - 1) / k``; without structure it is near ``(m - 1) / (n - 1)``.

    Raises
    ------
    ValueError
        If `labels` does not fit `embedding` or has missing values, `k` exceeds the other cells, or `neighbors` contains
        cells as neighbours of themselves.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    scArches' code calls this "knn purity"; the measure its paper prints under that name is
    :func:`neighbor_preservation`.

    References
    ----------
    Released code of scArches (Lotfollahi et al. 2020), ``knn_purity`` with ``n_neighbors=30``.
    """
    k = check.whole("k", k, least=1)
    codes, names = coded_batches(labels, len(dense(embedding)), "labels")
    indices = nearest_others(embedding, k, neighbors)
    shares = (codes[indices] == codes[:, None]).mean(axis=1)
    means = np.bincount(codes, weights=shares) / np.bincount(codes)
    return pd.Series(means, index=pd.Index(names, name="label"), name="label_purity")
