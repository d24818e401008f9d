"""Compute the radius-based neighbours intersection score (RbNI) of an embedding."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense, finite_cells
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

_CHUNK = 2**20  # coordinates that one step compares
_ROWS = 2**9  # cells whose neighbours are sought at once
_BLOCK = 2**11  # and those that one step compares with


@dataclass(frozen=True, eq=False, repr=False)
class RbNIScore(Intersection):
    """Radius-based neighbours intersection score (RbNI) of an embedding, and what it is made of.

    Every share is of all labelled cells (or those drawn), without the isolated ones if these were dropped; NaN of none.

    Parameters
    ----------
    score
        Share of the cells that are diverse and whose label is the most frequent one among the neighbours from other
        batches.
    accuracy_radius
        Share of the cells whose label is the most frequent one among all neighbours.
    diverse
        Share of the cells with enough neighbours from other batches.
    same_batch
        Mean share of a cell's neighbours that are of its batch, over cells with neighbours.
    interval
        Interval of 95 % for the score of all cells (Wilson 1927), where some were drawn (`n_scored`); else its ends are
        the score. It is about the draw, not about other donors: for these see `per_batch`.
    mean_neighbors
        Mean number of neighbours.
    per_batch
        One row per batch: `n`, `score`, `accuracy_radius` and `diverse`.
    per_cell
        Whether each cell that got a score counts in `score`, by its row in the embedding: to average over donors, or
        whatever else the cells differ in.
    confusion
        Counts of the diverse cells, labels by labels predicted from other batches.
    confusion_radius
        Counts of the cells with neighbours, labels by labels predicted from all neighbours.
    n_scored
        Cells that got a score: all, or those drawn.
    n_cells
        Cells among which neighbours were sought.
    n_isolated
        Cells without a neighbour.
    n_unlabelled
        Cells without a label, left out.
    options
        What was asked for; ``None`` for the threshold that was not used.
    """

    title = "RbNI"

    score: float
    accuracy_radius: float
    diverse: float
    same_batch: float
    interval: tuple[float, float]
    mean_neighbors: float
    per_batch: pd.DataFrame
    per_cell: pd.Series
    confusion: pd.DataFrame
    confusion_radius: pd.DataFrame
    n_scored: int
    n_cells: int
    n_isolated: int
    n_unlabelled: int
    options: dict[str, Any] = field(default_factory=dict)


def rbni(
    embedding: ArrayLike,
    batches: ArrayLike,
    labels: ArrayLike,
    *,
    radius: float = 1.0,
    max_same_batch: float = 0.8,
    min_other_share: float | None = None,
    drop_isolated: bool = False,
    unlabelled: Collection[Any] | None = None,
    subsample: int | None = None,
    n_scored: int | None = None,
    rng: np.random.Generator | int | None = None,
) -> RbNIScore:
    r"""Radius-based neighbours intersection (RbNI): do cells of other batches nearby know a cell's label.

    :func:`kni` with other neighbours: all cells within a Euclidean distance `radius` of the cell, itself excepted,
    after the same scaling. A cell is diverse if the share of its neighbours that are of its own batch is below
    `max_same_batch`. A cell without neighbours is not diverse and counts as a failure.

    The search is exact: its time grows with the product of the numbers of cells scored (`n_scored`, by default all) and
    of all cells (measured in ``benchmarks/kni.py``), its memory with the number of cells.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    batches
        Batch of every cell, shape ``(n,)``.
    labels
        Cell type of every cell, shape ``(n,)``. Cells without one are left out before anything else.
    radius
        Largest distance of a neighbour, in inter-quartile ranges.
    max_same_batch
        Share of a cell's neighbours, from which on the cell is not diverse.
    min_other_share
        Share of the neighbours from other batches that makes a cell diverse, instead of `max_same_batch`: 0.8 is the
        paper's text.
    drop_isolated
        Leave cells without neighbours out of all shares, as the released code does.
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

    Returns
    -------
    Score, its parts, a table per batch and confusion matrices.

    Raises
    ------
    ValueError
        If the shapes do not match, a coordinate is not finite, no dimension varies, no cell has a label, a labelled
        cell has no batch or all have the same, `subsample` or `n_scored` exceeds the cells, `radius` is not positive
        and finite, or a threshold is out of range.
    TypeError
        If `unlabelled` is a string.

    Notes
    -----
    The printed formula asks that more than 80 % of the neighbours are of other batches (at exactly 80 % it is
    undefined; ``min_other_share`` includes it), while the sentence before it calls the threshold one of the cell's own
    batch, which the code follows (the default).

    Values of the released code cannot be repeated: its index compares `radius` with the squared distance, visits one of
    up to 1,000 lists of cells only, and drops an arbitrary neighbour where it means to drop the cell itself. Where
    distances are concerned, ``radius=r ** 0.5`` is its ``radius=r``.

    References
    ----------
    BA-scVI (arXiv 2503.20730), Methods, "Calculation of Radius-based Neighbors Intersection (RbNI) score".
    """
    check.number("radius", radius, above=0)
    check.number("max_same_batch", max_same_batch, above=0, most=1)
    if min_other_share is not None:
        check.number("min_other_share", min_other_share, above=0, most=1)
    check.flags(drop_isolated=drop_isolated)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    subsample = None if subsample is None else check.whole("subsample", subsample, least=2)
    n_scored = None if n_scored is None else check.whole("n_scored", n_scored, least=1)
    check.seed("rng", rng)
    points = dense(embedding)
    cells = labelled_cells(
        batches, labels, points.shape, unlabelled=unlabelled, subsample=subsample, n_scored=n_scored, rng=rng
    )
    votes = _votes(cells, scaled(finite_cells(points[cells.rows], "embedding")), radius)

    some = votes.n_all > 0
    share = np.divide(votes.n_same, votes.n_all, out=np.ones(len(some)), where=some)
    other = np.divide(votes.n_all - votes.n_same, votes.n_all, out=np.zeros(len(some)), where=some)
    diverse = share < max_same_batch if min_other_share is None else other >= min_other_share
    options = {
        "radius": radius,
        "max_same_batch": max_same_batch if min_other_share is None else None,
        "min_other_share": min_other_share,
        "drop_isolated": drop_isolated,
    }
    return RbNIScore(
        **scores(cells, votes, diverse, "radius", drop_isolated=drop_isolated),
        mean_neighbors=float(votes.n_all.mean()),
        n_isolated=int((~some).sum()),
        options=options,
    )


def _votes(cells: CodedCells, points: NDArray[np.float64], radius: float) -> Votes:
    """Count neighbours block by block, each block of neighbours being of one batch."""
    order = np.argsort(cells.batches, kind="stable")
    place = np.argsort(order)[cells.scored]
    points, labels = points[order], cells.labels[order]
    n_labels, within, votes = len(cells.label_names), _Within(points, radius), Votes.empty(len(place))
    blocks = [
        (batch, slice(start, min(start + _BLOCK, last)))
        for batch, (first, last) in enumerate(pairwise(_edges(cells.batches)))
        for start in range(first, last, _BLOCK)
    ]
    for start in range(0, len(place), _ROWS):
        some = slice(start, start + _ROWS)
        everyone = np.zeros((len(place[some]), n_labels))
        same = everyone.copy()
        own = cells.batches[cells.scored[some]]
        for batch, block in blocks:
            near = within(place[some], block).astype(np.float32)  # counts are exact below 2**24 cells
            counts = near @ np.eye(n_labels, dtype=np.float32)[labels[block]]
            everyone += counts
            same[own == batch] += counts[own == batch]
        votes.count(some, everyone, everyone - same)
    return votes


def _edges(batches: NDArray[np.int64]) -> list[int]:
    """Return where each batch begins among sorted cells, and where the last one ends."""
    return [0, *np.cumsum(np.bincount(batches)).tolist()]


class _Within:
    """Search of the other cells within a radius.

    It goes by a matrix product, and by differences where rounding could decide.
    """

    def __init__(self, points: NDArray[np.float64], radius: float) -> None:
        self.points, self.radius = points, radius
        self.squares = np.einsum("id,id->i", points, points)

    def __call__(self, rows: NDArray[np.int64], block: slice) -> NDArray[np.bool_]:
        """Mask of shape ``(rows, block)``; :math:`x y - y^2 / 2 = (x^2 - |x - y|^2) / 2` decides."""
        others = self.points[block]
        product = self.points[rows] @ others.T - self.squares[block] / 2
        squares = self.squares[rows, None]
        rounding = 64 * (self.points.shape[1] + 8) * np.finfo(float).eps * (np.sqrt(squares) + self.radius) ** 2
        middle = (squares - self.radius**2) / 2
        near = product >= middle - rounding
        left, right = np.nonzero(near & (product <= middle + rounding))
        step = max(1, _CHUNK // self.points.shape[1])
        for start in range(0, len(left), step):
            i, j = left[start : start + step], right[start : start + step]
            apart = self.points[rows[i]] - others[j]
            near[i, j] = np.sqrt(np.einsum("pd,pd->p", apart, apart)) <= self.radius
        itself = (rows >= block.start) & (rows < block.stop)
        near[itself, rows[itself] - block.start] = False
        return near
