"""Measure the entropy of batch mixing for each label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import entropy

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense
from scarches_plus.metrics._mixing.batch_entropy import batch_entropy
from scarches_plus.metrics._shared._checks import coded_batches
from scarches_plus.metrics._shared._nearest import nearest_others

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def label_mixing(
    embedding: ArrayLike,
    batches: ArrayLike,
    labels: ArrayLike,
    *,
    k: int = 15,
    min_share: float = 1.0,
    neighbors: ArrayLike | None = None,
) -> pd.DataFrame:
    """Entropy of batch mixing per label, and whether that label should mix.

    Labels that live in several batches should mix, those of one batch should stay apart from the cells of other
    batches: mixing is good for the former and bad for the latter. :func:`over_mixing` sums the latter up.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    batches
        Batch of every cell, shape ``(n,)``.
    labels
        Label of every cell, shape ``(n,)``.
    k
        Number of nearest other cells. Labels of at most `k` cells have neighbours of other labels wherever they lie.
    min_share
        A label is to stay apart if at least this share of its cells is of one batch. Below 1 tolerates a few wrong
        labels, but where most cells are of one batch, so are most cells of every label.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already. Must not contain the cell itself.

    Returns
    -------
    pandas.DataFrame
        One row per label, sorted, with the columns `n_cells`, `n_batches` that have the label, `largest_share` of its
        cells in one batch, `expected` (``"mixed"`` or ``"apart"``), `entropy`, the mean of :func:`batch_entropy` of its
        cells, and `attainable`, the entropy of the batches among the cells of the label: what perfect mixing within the
        label gives as `k` grows. Both are divided by the logarithm of the number of all batches.

    Raises
    ------
    ValueError
        If there is one batch only, `batches` or `labels` does not fit `embedding` or has missing values, `min_share` is
        not above 0 and at most 1, `k` exceeds the other cells, or `neighbors` contains cells as neighbours of
        themselves.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    scANVI (Xu et al. 2019), Fig. 3: where cell types are not shared, their cells should have a low entropy of batch
    mixing.
    """
    k = check.whole("k", k, least=1)
    check.number("min_share", min_share, above=0, most=1)
    n_cells = len(dense(embedding))
    batch, batch_names = coded_batches(batches, n_cells)
    label, names = coded_batches(labels, n_cells, "labels")
    indices = nearest_others(embedding, k, neighbors)
    entropies = batch_entropy(embedding, batch, k=k, normalize=True, neighbors=indices)

    shape = len(names), len(batch_names)
    counts = np.bincount(label * shape[1] + batch, minlength=shape[0] * shape[1]).reshape(shape)
    sizes = counts.sum(axis=1)
    largest_share = counts.max(axis=1) / sizes
    return pd.DataFrame(
        {
            "n_cells": sizes,
            "n_batches": (counts > 0).sum(axis=1),
            "largest_share": largest_share,
            "expected": np.where(largest_share >= min_share, "apart", "mixed"),
            "entropy": np.bincount(label, weights=entropies) / sizes,
            "attainable": entropy(counts, axis=1) / np.log(len(batch_names)),
        },
        index=pd.Index(names, name="label"),
    )
