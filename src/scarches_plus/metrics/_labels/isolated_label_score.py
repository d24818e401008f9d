"""Score how well nearest neighbours identify labels that few batches have."""

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


def isolated_label_score(
    embedding: ArrayLike,
    batches: ArrayLike,
    labels: ArrayLike,
    *,
    k: int = 15,
    max_batches: int | None = None,
    neighbors: ArrayLike | None = None,
) -> pd.Series:
    r"""Score how well labels that few batches have can be told from all others by their neighbours.

    A cell looks at its :math:`\min(k, m - 1)` nearest other cells, :math:`m` being the number of cells of its label, so
    that rare labels are not asked for more cells than they have, and is taken for the label that more than half of
    these have. The score of a label is the F1 score of that decision over all cells, :math:`2 TP / (2 TP + FP + FN)`.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    batches
        Batch of every cell, shape ``(n,)``.
    labels
        Label of every cell, shape ``(n,)``.
    k
        Number of nearest other cells.
    max_batches
        Score the labels that at most this many batches have. ``None`` takes the labels that the fewest batches have,
        as scib does.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already. Must not contain the cell itself.

    Returns
    -------
    F1 score of each isolated label, in sorted order; the mean is the score. NaN for a label of a single cell.

    Raises
    ------
    ValueError
        If no label has at most `max_batches` batches, `batches` or `labels` does not fit `embedding` or has missing
        values, `k` exceeds the other cells, or `neighbors` contains cells as neighbours of themselves.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    scib clusters at many resolutions and takes the F1 score of the cluster that fits the label best; scib-metrics takes
    the mean silhouette width of the label's cells. Both pick the labels as here. This score needs neither clusters nor
    all distances, and unlike the silhouette it does not ask a label to be round.

    References
    ----------
    Luecken et al., Benchmarking atlas-level data integration in single-cell genomics (2022), "Isolated label scores".
    """
    k = check.whole("k", k, least=1)
    max_batches = None if max_batches is None else check.whole("max_batches", max_batches, least=1)
    n_cells = len(dense(embedding))
    batch, _ = coded_batches(batches, n_cells)
    label, names = coded_batches(labels, n_cells, "labels")
    pairs = np.unique(np.stack([label, batch]), axis=1)
    n_batches, sizes = np.bincount(pairs[0]), np.bincount(label)
    limit = n_batches.min() if max_batches is None else max_batches
    isolated = np.flatnonzero(n_batches <= limit)
    if not len(isolated):
        message = f"no label has at most max_batches={limit} batches: the fewest that a label has is {n_batches.min()}"
        raise ValueError(message)

    around = label[nearest_others(embedding, k, neighbors)]
    n_asked = np.clip(sizes - 1, 1, k)[label]
    asked = np.arange(k) < n_asked[:, None]
    scores = {}
    for code in isolated:
        taken = 2 * ((around == code) & asked).sum(axis=1) > n_asked
        hits = (taken & (label == code)).sum()
        scores[names[code]] = 2 * hits / (taken.sum() + sizes[code]) if sizes[code] > 1 else np.nan
    return pd.Series(scores, name="isolated_label_score", dtype=float).rename_axis("label")
