"""Measure how much of each batch's own kNN neighbourhoods a joint embedding keeps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense, nearest_within
from scarches_plus.metrics._shared._checks import coded_batches

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def neighbor_preservation(
    embedding: ArrayLike,
    separate: ArrayLike | Mapping[Hashable, ArrayLike],
    batches: ArrayLike | None = None,
    *,
    k: int = 15,
) -> float:
    """Share of each batch's own neighbourhoods that survives in a joint embedding: the papers' "kNN purity".

    For every batch, the `k` nearest other cells of each cell are found twice among the cells of that batch: in
    `separate` and in `embedding`. The Jaccard index of the two sets is averaged over the cells of the batch, then over
    the batches, each batch counting the same.

    Parameters
    ----------
    embedding
        The joint embedding, shape ``(n, d)``.
    separate
        Embeddings that know one batch only, each batch's rows from a model trained on that batch alone (or its
        principal components). Either an array of ``n`` rows in the order of `embedding`, or a mapping from batch to
        its rows, in the order in which `embedding` has them. The numbers of dimensions may differ.
    batches
        Batch of every cell, shape ``(n,)``. ``None`` takes all cells as one batch.
    k
        Number of nearest other cells.

    Returns
    -------
    Mean Jaccard index: 1 if every neighbourhood is kept, near ``k / (2 n)`` for an embedding without structure.

    Raises
    ------
    ValueError
        If the rows do not fit together or a batch has at most `k` cells: all its cells would be neighbours, and the
        score 1 whatever the embedding. Leave such batches out or lower `k`.
    KeyError
        If `separate` lacks a batch.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    Other things go by this name. scArches' code computes the share of neighbours with the same label, and its text
    compares a batch with both batches together. scANVI's code counts the cell itself, so its 50 neighbours are 49 here,
    and takes two batches only. Neighbours among all cells, which other metrics share, say little about those within a
    batch: they are searched here.

    References
    ----------
    scANVI (Xu et al. 2019), Online Methods, "k-nearest neighbors purity"; used at ``k=15`` by scArches (Lotfollahi et
    al. 2020), Fig. 2.
    """
    k = check.whole("k", k, least=1)
    joint = dense(embedding)
    codes, names = coded_batches(np.full(len(joint), "all cells") if batches is None else batches, len(joint))
    sizes = np.bincount(codes)
    if (sizes <= k).any():
        small = ", ".join(f"{name!r} ({size})" for name, size in zip(names, sizes, strict=True) if size <= k)
        message = f"k={k} neighbours need batches of more than {k} cells; too small: {small}. Lower k or leave them out"
        raise ValueError(message)

    means = []
    for code, name in enumerate(names):
        rows = codes == code
        alone = _rows_of(separate, name, rows)
        kept = _jaccard(nearest_within(alone, k).indices, nearest_within(joint[rows], k).indices)
        means.append(kept.mean())
    return float(np.mean(means))


def _rows_of(separate: ArrayLike | Mapping[Hashable, ArrayLike], name: Hashable, rows: NDArray[np.bool_]) -> NDArray:
    if isinstance(separate, Mapping):
        if name not in separate:
            message = f"separate has no embedding of batch {name!r}"
            raise KeyError(message)
        alone, expected, of_batch = dense(separate[name], "separate"), int(rows.sum()), f" of batch {name!r}"
    else:
        alone, expected, of_batch = dense(separate, "separate"), len(rows), ""
    if len(alone) != expected:
        message = f"separate has {len(alone)} rows{of_batch} and embedding {expected}: they must be the same cells"
        raise ValueError(message)
    return alone if isinstance(separate, Mapping) else alone[rows]


def _jaccard(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Jaccard index of the two sets in every row; both of shape ``(n, k)``, entries of a row distinct."""
    both = np.sort(np.concatenate([left, right], axis=1), axis=1)
    shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    return shared / (both.shape[1] - shared)
