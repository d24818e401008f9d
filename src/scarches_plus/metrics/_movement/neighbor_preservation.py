"""Measure how much of each batch's own kNN neighbourhoods a joint embedding keeps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense, nearest_within
from scarches_plus.metrics._shared._checks import coded_batches

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def neighbor_preservation(
    embedding: ArrayLike,
    separate: ArrayLike | Mapping[Hashable, ArrayLike] | None = None,
    batches: ArrayLike | None = None,
    *,
    k: int = 15,
    among: Literal["batch", "all"] = "batch",
) -> float:
    """Share of each batch's own neighbourhoods that survives in a joint embedding: the papers' "kNN purity".

    For every batch, the `k` nearest other cells of each cell are found twice among the cells of that batch: in
    `separate` and in `embedding`. The Jaccard index of the two sets is averaged over the cells of the batch, then over
    the batches, each batch counting the same. That is scANVI's definition as its code reads it; ``separate=None`` with
    ``among="all"`` is the wording of scArches.

    Parameters
    ----------
    embedding
        The joint embedding, shape ``(n, d)``.
    separate
        Embeddings that know one batch only, each batch's rows from a model trained on that batch alone (or its
        principal components). Either an array of ``n`` rows in the order of `embedding`, or a mapping from batch to
        its rows, in the order in which `embedding` has them. The numbers of dimensions may differ. ``None`` takes
        `embedding` itself, which needs ``among="all"``.
    batches
        Batch of every cell, shape ``(n,)``. ``None`` takes all cells as one batch.
    k
        Number of nearest other cells.
    among
        Where the neighbours in `embedding` are looked for: ``"batch"``, among the cells of the cell's batch, or
        ``"all"``, among the cells of all batches, so that those of other batches count as lost.

    Returns
    -------
    float
        Mean Jaccard index: 1 if every neighbourhood is kept, near ``k / (2 n)`` for an embedding without structure.
        With ``among="all"`` about ``1 / (2 b - 1)`` at most, if `b` batches of equal size mix.

    Raises
    ------
    ValueError
        If the rows do not fit together or a batch has at most `k` cells: all its cells would be neighbours, and the
        score 1 whatever the embedding. Leave such batches out or lower `k`. If the two searches are one and the same:
        `separate` is ``None``, and `among` is ``"batch"`` or there is one batch.
    KeyError
        If `separate` lacks a batch.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    Several things go by the name. scANVI's text: "one from the latent space obtained with only cells from the first
    batch and the other from the latent space obtained using both batches"; its code searches the second among the cells
    of the batch too (the default), counts the cell itself, so that its 50 neighbours are 49 here, and takes two batches
    only. scArches' text: two matrices "on the latent representation: one matrix only includes the cells from the first
    batch and the other one from cells in both batches", which is ``separate=None, among="all"`` if it means one latent
    space, and ``among="all"`` with `separate` if it means two. scArches' code: the share of neighbours with the same
    label, :func:`label_purity`.

    In one latent space scArches' wording measures mixing, and nothing else: of a cell with `m` neighbours of its own
    batch among its `k` nearest, these `m` are its nearest of the batch, and the index is ``m / (2 k - m)``. It falls as
    batches mix, however well structure is kept. For structure take the default.

    References
    ----------
    scANVI (Xu et al. 2019), Online Methods, "k-nearest neighbors purity"; scArches (Lotfollahi et al. 2020), Methods,
    "K-nearest neighbor purity", used at ``k=15`` in Fig. 2.
    """
    k = check.whole("k", k, least=1)
    check.choice("among", among, ("batch", "all"))
    joint = dense(embedding)
    codes, names = coded_batches(np.full(len(joint), "all cells") if batches is None else batches, len(joint))
    if separate is None and (among == "batch" or len(names) == 1):
        message = (
            "without separate, a cell's neighbours in its batch are compared with themselves: pass separate=..., "
            'embeddings of each batch alone, or among="all" and batches=... for scArches\' wording'
        )
        raise ValueError(message)
    sizes = np.bincount(codes)
    if (sizes <= k).any():
        small = ", ".join(f"{name!r} ({size})" for name, size in zip(names, sizes, strict=True) if size <= k)
        message = f"k={k} neighbours need batches of more than {k} cells; too small: {small}. Lower k or leave them out"
        raise ValueError(message)

    in_all = nearest_within(joint, k).indices if among == "all" else None
    means = []
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        alone = joint[rows] if separate is None else _rows_of(separate, name, rows, len(joint))
        before = nearest_within(alone, k).indices
        after = rows[nearest_within(joint[rows], k).indices] if in_all is None else in_all[rows]
        means.append(_jaccard(rows[before], after).mean())
    return float(np.mean(means))


def _rows_of(
    separate: ArrayLike | Mapping[Hashable, ArrayLike], name: Hashable, rows: NDArray[np.int64], n_cells: int
) -> NDArray:
    if isinstance(separate, Mapping):
        if name not in separate:
            message = f"separate has no embedding of batch {name!r}"
            raise KeyError(message)
        alone, expected, of_batch = dense(separate[name], "separate"), len(rows), f" of batch {name!r}"
    else:
        alone, expected, of_batch = dense(separate, "separate"), n_cells, ""
    if len(alone) != expected:
        message = f"separate has {len(alone)} rows{of_batch} and embedding {expected}: they must be the same cells"
        raise ValueError(message)
    return alone if isinstance(separate, Mapping) else alone[rows]


def _jaccard(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Jaccard index of the two sets in every row; both of shape ``(n, k)``, entries of a row distinct."""
    both = np.sort(np.concatenate([left, right], axis=1), axis=1)
    shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    return shared / (both.shape[1] - shared)
