"""Measure over-mixing: labels of one batch that mix with cells of other batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus.metrics._labels.label_mixing import label_mixing

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def over_mixing(
    embedding: ArrayLike,
    batches: ArrayLike,
    labels: ArrayLike,
    *,
    k: int = 15,
    min_share: float = 1.0,
    neighbors: ArrayLike | None = None,
) -> float:
    """Measure how far labels of one batch mix with cells of other batches: lower is better.

    The mean of `entropy` in :func:`label_mixing` over the labels that should stay apart. Mixing of batches rewards an
    embedding that merges everything; this measure counts that against it.

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
        A label is to stay apart if at least this share of its cells is of one batch.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already. Must not contain the cell itself.

    Returns
    -------
    Mean entropy between 0, apart, and 1, every batch around every cell.

    Raises
    ------
    ValueError
        If no label is of one batch, and as :func:`label_mixing`.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    scANVI (Xu et al. 2019), Fig. 3, shows the entropy per cell type; it prints no summary.
    """
    k = check.whole("k", k, least=1)
    check.number("min_share", min_share, above=0, most=1)
    table = label_mixing(embedding, batches, labels, k=k, min_share=min_share, neighbors=neighbors)
    apart = table.loc[table["expected"] == "apart", "entropy"]
    if apart.empty:
        message = (
            f"no label has a share of {min_share} of its cells in one batch, so that none can mix too much; the nearest"
            f" is {table['largest_share'].idxmax()!r} with {table['largest_share'].max():.3f}: lower min_share"
        )
        raise ValueError(message)
    return float(apart.mean())
