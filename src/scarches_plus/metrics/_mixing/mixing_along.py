"""Compute the entropy of batch mixing along an ordering of cells, such as pseudotime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense
from scarches_plus.metrics._shared._nearest import nearest_others

from .batch_entropy import batch_entropy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def mixing_along(
    embedding: ArrayLike,
    batches: ArrayLike,
    ordering: ArrayLike,
    *,
    n_bins: int = 20,
    k: int = 50,
    normalize: bool = False,
    neighbors: ArrayLike | None = None,
) -> pd.DataFrame:
    """Entropy of batch mixing along an ordering of the cells, such as pseudotime.

    Where all batches have cells it should be high; where one batch goes farther than the others, at the ends of a
    trajectory for instance, it should fall.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    batches
        Batch of every cell, shape ``(n,)``.
    ordering
        Position of every cell, shape ``(n,)``. Cells without one (NaN) are neighbours like all others and in no bin:
        the paper orders the cells of one of its two data sets.
    n_bins
        Number of bins with equally many ordered cells. Cells at the same position share a bin, so that there may be
        fewer.
    k
        Number of nearest other cells.
    normalize
        Divide by the logarithm of the number of batches, so that values lie between 0 and 1.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already. Must not contain the cell itself.

    Returns
    -------
    pandas.DataFrame
        One row per bin, in order, with the columns `first` and `last` position, `n_cells` and mean `entropy` in nats,
        or in units of its maximum if `normalize`.

    Raises
    ------
    ValueError
        If `ordering` does not fit `embedding`, has infinite values, orders fewer than `n_bins` cells, and as
        :func:`batch_entropy`.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    scANVI (Xu et al. 2019), Fig. 4c: 20 bins; 50 neighbours in Online Methods, "Batch Entropy Mixing".
    """
    k = check.whole("k", k, least=1)

    n_bins = check.whole("n_bins", n_bins, least=1)
    check.flags(normalize=normalize)
    positions = pd.Series(check.array("ordering", ordering))
    n_cells = len(dense(embedding))
    if positions.shape != (n_cells,):
        message = f"ordering must have one entry for each of the {n_cells} cells; its shape is {positions.shape}"
        raise ValueError(message)
    if n_infinite := int(np.isinf(positions).sum()):
        message = f"ordering is infinite for {n_infinite} of {n_cells} cells: use NaN for cells without a position"
        raise ValueError(message)
    n_ordered = int(positions.notna().sum())
    if not 1 <= n_bins <= n_ordered:
        message = (
            f"n_bins must be at least 1 and at most the number of cells with a position, {n_ordered}, not {n_bins}"
        )
        raise ValueError(message)

    indices = nearest_others(embedding, k, neighbors)
    entropies = batch_entropy(embedding, batches, k=k, normalize=normalize, neighbors=indices)
    n_before = positions.rank(method="min") - 1
    bins = n_before * n_bins // n_ordered
    cells = pd.DataFrame({"position": positions, "entropy": entropies}).groupby(bins)
    table = cells.agg(
        first=("position", "min"), last=("position", "max"), n_cells=("position", "size"), entropy=("entropy", "mean")
    )
    return table.reset_index(drop=True).rename_axis("bin")
