"""Compute the K-neighbours intersection score (KNI) of an embedding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense, finite_cells, nearest_within
from scarches_plus.metrics._shared._checks import first_neighbors
from scarches_plus.metrics._shared._neighbor_vote import (
    CodedCells,
    Intersection,
    Votes,
    labelled_cells,
    scaled,
    scores,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_CHUNK = 2**20  # votes and counts of votes that one step holds


@dataclass(frozen=True, eq=False, repr=False)
class KNIScore(Intersection):
    """K-neighbours intersection score of an embedding, and what it is made of.

    Every share is of all labelled cells (or those drawn).

    Parameters
    ----------
    score
        Share of the cells that are diverse and whose label is the most frequent one among the neighbours from other
        batches.
    accuracy_knn
        Share of the cells whose label is the most frequent one among all neighbours.
    diverse
        Share of the cells with enough neighbours from other batches.
    same_batch
        Mean share of a cell's neighbours that are of its batch.
    interval
        Interval of 95 % for the score of all cells (Wilson 1927), where some were drawn (`n_scored`); else its ends are
        the score. It is about the draw, not about other donors: for these see `per_batch`.
    per_batch
        One row per batch: `n`, `score`, `accuracy_knn` and `diverse`.
    per_cell
        Whether each cell that got a score counts in `score`, by its row in the embedding: to average over donors, or
        whatever else the cells differ in.
    confusion
        Counts of the diverse cells, labels by labels predicted from other batches.
    confusion_knn
        Counts of all cells, labels by labels predicted from all neighbours.
    n_scored
        Cells that got a score: all, or those drawn.
    n_cells
        Cells among which neighbours were sought. At a fixed `k` the score depends on their number.
    n_unlabelled
        Cells without a label, left out.
    options
        What was asked for; ``None`` for the threshold that was not used.
    """

    title = "KNI"

    score: float
    accuracy_knn: float
    diverse: float
    same_batch: float
    interval: tuple[float, float]
    per_batch: pd.DataFrame
    per_cell: pd.Series
    confusion: pd.DataFrame
    confusion_knn: pd.DataFrame
    n_scored: int
    n_cells: int
    n_unlabelled: int
    options: dict[str, Any] = field(default_factory=dict)


def kni(
    embedding: ArrayLike,
    batches: ArrayLike,
    labels: ArrayLike,
    *,
    k: int = 50,
    max_same_batch: float = 0.8,
    min_other: int | None = None,
    include_self: bool = False,
    unlabelled: Collection[Any] | None = None,
    subsample: int | None = None,
    n_scored: int | None = None,
    rng: np.random.Generator | int | None = None,
    neighbors: ArrayLike | None = None,
) -> KNIScore:
    r"""K-neighbours intersection (KNI): do neighbours from other batches know a cell's label.

    Of the `k` nearest cells of cell :math:`c`, let :math:`B_c` be those of other batches. The cell is diverse if fewer
    than ``max_same_batch * k`` of its neighbours share its batch. It counts if it is diverse and the most frequent
    label of :math:`B_c` is its own; the score is the share of such cells. Of equally frequent labels, the first in
    sorted order is taken. Distances are Euclidean, once every dimension was centred on its mean and divided by its
    inter-quartile range; a dimension whose quartiles coincide is ignored.

    Batches that are kept apart lower the score, and so do cell types that are thrown together. Cells of a type that one
    batch alone contains fail whatever the embedding, so compare embeddings of the same cells. Where batches lie apart,
    noise can raise the score, since it mixes batches before it mixes types: read it together with its parts.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    batches
        Batch of every cell, shape ``(n,)``.
    labels
        Cell type of every cell, shape ``(n,)``. Cells without one are left out before anything else.
    k
        Number of nearest cells.
    max_same_batch
        Share of a cell's neighbours, from which on the cell is not diverse.
    min_other
        Neighbours from other batches that make a cell diverse, instead of `max_same_batch`: the paper's tau.
    include_self
        Count every cell as the first of its own `k` neighbours, as the released code does.
    unlabelled
        Words that are no label, as they are spelt; ``()`` lets all count. ``None``: "Unknown", "Undetermined" and
        "Mixed", which the paper leaves out, and the other words in :doc:`/guide/labels`, in any case. Cells without a
        label are left out, and the log names the words. Missing values are never a label.
    subsample
        Take this many of the labelled cells, each batch in proportion to its size (to within a cell), as if there were
        no other: for scores at equal numbers of cells.
    n_scored
        Score this many of the cells only, each batch in proportion to its size, by their neighbours among all: an
        estimate of the score of all cells, with an `interval`.
    rng
        Random generator or seed of the draws.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already; nothing is scaled or searched then. Takes neither unlabelled cells nor `subsample`.

    Returns
    -------
    Score, its parts, a table per batch and confusion matrices.

    Raises
    ------
    ValueError
        If the shapes do not match, a coordinate is not finite, no dimension varies, no cell has a label, a labelled
        cell has no batch or all have the same, `k`, `subsample` or `n_scored` exceeds the cells, a threshold is out
        of range, or `neighbors` contains cells as neighbours of themselves.
    TypeError
        If `unlabelled` is a string.

    Notes
    -----
    Text and code of the paper ask for different things. The text: at least 40 of 50 neighbours are of other batches
    (``min_other=40``; in print, 40 itself is undefined). The code: fewer than 40 of 50 are of the cell's batch (the
    default), among neighbours without the cell itself in the version of the paper's time (the default) and with it in
    the later one (``include_self=True``, which leaves 49 others, at most 38 of the same batch).

    Which of several cells at the same distance are among the `k` is up to rounding: coordinates on a grid, shifted, may
    give another score.

    At a fixed `k` the score depends on the number of cells: from some hundreds on it falls as that grows, the
    neighbourhoods becoming smaller than the distances that are left between batches. :meth:`KNIScore.compared_with`
    warns of it.

    References
    ----------
    BA-scVI (arXiv 2503.20730), Methods, "Calculation of K-Neighbors Intersection (KNI) score".
    """
    k = check.whole("k", k, least=1)

    check.number("max_same_batch", max_same_batch, above=0, most=1)
    min_other = None if min_other is None else check.whole("min_other", min_other, least=1)
    check.flags(include_self=include_self)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    subsample = None if subsample is None else check.whole("subsample", subsample, least=2)
    n_scored = None if n_scored is None else check.whole("n_scored", n_scored, least=1)
    check.seed("rng", rng)
    n_neighbors = _checked_neighbors(k, min_other, include_self=include_self)
    points = dense(embedding)
    cells = labelled_cells(
        batches, labels, points.shape, unlabelled=unlabelled, subsample=subsample, n_scored=n_scored, rng=rng
    )
    if neighbors is None:
        around = scaled(finite_cells(points[cells.rows], "embedding"))
        indices = nearest_within(around, n_neighbors, rows=cells.scored).indices
    else:
        indices = _given(neighbors, cells, n_neighbors, subsample)[cells.scored]
    if include_self:
        indices = np.column_stack([cells.scored, indices])

    votes = _votes(cells, indices)
    diverse = votes.n_same / k < max_same_batch if min_other is None else k - votes.n_same >= min_other
    options = {
        "k": k,
        "max_same_batch": max_same_batch if min_other is None else None,
        "min_other": min_other,
        "include_self": include_self,
    }
    return KNIScore(**scores(cells, votes, diverse, "knn"), options=options)


def _checked_neighbors(k: int, min_other: int | None, *, include_self: bool) -> int:
    n_neighbors = k - include_self
    if n_neighbors < 1:
        message = f"k={k} leaves no neighbour{' beside the cell itself' if include_self else ''}: raise k"
        raise ValueError(message)
    if min_other is not None and not 1 <= min_other <= n_neighbors:
        message = f"min_other={min_other} must be a number of neighbours from 1 to {n_neighbors}"
        raise ValueError(message)
    return n_neighbors


def _given(neighbors: ArrayLike, cells: CodedCells, n_neighbors: int, subsample: int | None) -> NDArray:
    if cells.n_unlabelled or subsample is not None:
        message = (
            f"neighbors were found among all cells, but {cells.n_unlabelled} have no label and subsample is "
            f"{subsample}: take labelled cells only, then search (unlabelled=() lets all words count)"
        )
        raise ValueError(message)
    return first_neighbors(np.asarray(neighbors), len(cells.rows), n_neighbors)


def _votes(cells: CodedCells, indices: NDArray) -> Votes:
    n_labels, votes = len(cells.label_names), Votes.empty(len(indices))
    step = max(1, _CHUNK // max(indices.shape[1], n_labels))
    for start in range(0, len(indices), step):
        rows = slice(start, start + step)
        near = indices[rows]
        ballots = cells.labels[near] + n_labels * np.arange(len(near))[:, None]
        foreign = cells.batches[near] != cells.batches[cells.scored[rows], None]
        size = len(near) * n_labels
        everyone = np.bincount(ballots.ravel(), minlength=size).reshape(-1, n_labels)
        others = np.bincount(ballots[foreign], minlength=size).reshape(-1, n_labels)
        votes.count(rows, everyone, others)
    return votes
