"""Compute neighbour votes and scores that KNI and RbNI share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self
from warnings import warn

import numpy as np
import pandas as pd
from scipy.stats import norm

from scarches_plus._cells import names_of, without_label
from scarches_plus._text import for_terminal

from ._checks import as_column, coded_batches

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class CodedCells:
    """The cells that count: their rows, and codes of their batches and labels, in sorted order of the names.

    ``scored`` are the places, among these, of the cells that get a score; all of them vote.
    """

    rows: NDArray[np.int64]
    batches: NDArray[np.int64]
    batch_names: list[Any]
    labels: NDArray[np.int64]
    label_names: list[Any]
    n_unlabelled: int
    scored: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Votes:
    """Neighbours of every cell, those of its own batch, and the label that all of them, or the others, have most often.

    Of equally frequent labels the first in sorted order; without a voter the label means nothing.
    """

    n_all: NDArray[np.int64]
    n_same: NDArray[np.int64]
    by_all: NDArray[np.int64]
    by_others: NDArray[np.int64]

    @classmethod
    def empty(cls, n_cells: int) -> Votes:
        """Room for the votes of `n_cells` cells."""
        return cls(*(np.zeros(n_cells, dtype=np.int64) for _ in range(4)))

    def count(self, rows: NDArray[np.int64] | slice, everyone: NDArray, others: NDArray) -> None:
        """Enter cells, given their neighbours by label: all, and those of other batches; both ``(rows, labels)``."""
        self.n_all[rows] = everyone.sum(axis=1)
        self.n_same[rows] = self.n_all[rows] - others.sum(axis=1)
        self.by_all[rows] = everyone.argmax(axis=1)
        self.by_others[rows] = others.argmax(axis=1)


def labelled_cells(
    batches: ArrayLike,
    labels: ArrayLike,
    shape: tuple[int, ...],
    *,
    unlabelled: Collection[Any] | None,
    subsample: int | None,
    n_scored: int | None,
    rng: np.random.Generator | int | None,
) -> CodedCells:
    """Leave out cells without a label, then draw `subsample` of the others, and of these `n_scored` that get a score.

    Both draws take each batch in proportion to its size.
    """
    batch_of, label_of = as_column(batches), as_column(labels)
    for values, what in ((batch_of, "batches"), (label_of, "labels")):
        if values.shape != shape[:1]:
            message = f"{what} must have one entry for each of the {shape[0]} cells; its shape is {values.shape}"
            raise ValueError(message)

    rng = np.random.default_rng(rng)
    labelled = ~without_label(names_of(label_of), unlabelled)
    rows = np.flatnonzero(labelled)
    if not len(rows):
        message = "labels has no label: every entry is missing or a word that means none; see unlabelled="
        raise ValueError(message)
    if subsample is not None:
        codes, _ = coded_batches(batch_of[rows], len(rows))
        rows = rows[_draw(codes, subsample, rng)]
    batch_codes, batch_names = coded_batches(batch_of[rows], len(rows))
    if len(batch_names) < 2:
        message = f"the votes come from other batches; every labelled cell is of batch {batch_names[0]!r}"
        raise ValueError(message)
    label_codes, label_names = coded_batches(label_of[rows], len(rows), "labels")
    scored = np.arange(len(rows)) if n_scored is None else _draw(batch_codes, n_scored, rng, "n_scored")
    return CodedCells(rows, batch_codes, batch_names, label_codes, label_names, int((~labelled).sum()), scored)


def _draw(
    batches: NDArray[np.int64], n_drawn: int, rng: np.random.Generator, what: str = "subsample"
) -> NDArray[np.int64]:
    """Cells at even steps through the batches, shuffled within: any cell equally likely, any batch to within a cell."""
    n_cells = len(batches)
    if not 1 <= n_drawn <= n_cells:
        message = f"{what}={n_drawn} cells cannot be drawn from {n_cells} labelled ones"
        raise ValueError(message)
    order = np.lexsort((rng.random(n_cells), batches))
    steps = (np.arange(n_drawn) + rng.random()) * (n_cells / n_drawn)
    return np.sort(order[np.minimum(steps.astype(np.int64), n_cells - 1)])


def scaled(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre every dimension on its mean and divide by its inter-quartile range; without a range it becomes 0."""
    centered, spread = centered_and_spread(cells)
    if not spread.any():
        message = "embedding does not vary: in every dimension, half of the labelled cells or more share one value"
        raise ValueError(message)
    return np.divide(centered, spread, out=np.zeros_like(centered), where=spread > 0)


def centered_and_spread(cells: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return every dimension without its mean, and its inter-quartile range."""
    centered = cells - cells.mean(axis=0, dtype=np.float64)
    low, high = np.quantile(centered, [0.25, 0.75], axis=0)
    return centered, high - low


def at_one_point(cells: NDArray) -> bool:
    """Tell whether no dimension varies at all."""
    return bool((cells == cells[0]).all())


def scores(
    cells: CodedCells, votes: Votes, diverse: NDArray[np.bool_], search: str, *, drop_isolated: bool = False
) -> dict[str, Any]:
    """Fields of a result: shares in all and by batch, and confusion matrices.

    A cell without neighbours must not be `diverse`; it fails in every share, or is left out of all.
    """
    some, labels, batches = votes.n_all > 0, cells.labels[cells.scored], cells.batches[cells.scored]
    counted = some if drop_isolated else np.ones(len(some), dtype=bool)
    of_cells = {
        "score": diverse & (votes.by_others == labels),
        f"accuracy_{search}": some & (votes.by_all == labels),
        "diverse": diverse,
    }
    names = pd.Index(cells.batch_names, name="batch")
    n = np.bincount(batches[counted], minlength=len(names))
    hits = {name: np.bincount(batches[hit], minlength=len(names)) for name, hit in of_cells.items()}
    with np.errstate(invalid="ignore"):
        totals = {name: float(hit.sum() / n.sum()) for name, hit in hits.items()}
        per_batch = pd.DataFrame({"n": n} | {name: hit / n for name, hit in hits.items()}, index=names)
        same_batch = float(np.divide(votes.n_same[some], votes.n_all[some]).sum() / some.sum())
    return totals | {
        "same_batch": same_batch,
        "per_batch": per_batch,
        "per_cell": pd.Series(of_cells["score"][counted], index=cells.rows[cells.scored][counted], name="counts"),
        "confusion": _confusion(cells, votes.by_others, diverse),
        f"confusion_{search}": _confusion(cells, votes.by_all, some),
        "interval": _interval(totals["score"], int(n.sum()), len(cells.scored) / len(cells.rows)),
        "n_scored": len(cells.scored),
        "n_cells": len(cells.rows),
        "n_unlabelled": cells.n_unlabelled,
    }


def _confusion(cells: CodedCells, predicted: NDArray[np.int64], voted: NDArray[np.bool_]) -> pd.DataFrame:
    names, n, labels = cells.label_names, len(cells.label_names), cells.labels[cells.scored]
    counts = np.bincount(labels[voted] * n + predicted[voted], minlength=n * n).reshape(n, n)
    return pd.DataFrame(counts, index=pd.Index(names, name="label"), columns=pd.Index(names, name="prediction"))


def _interval(share: float, n_drawn: int, drawn: float) -> tuple[float, float]:
    """Return Wilson's interval (1927) of 95 % for a share of all cells, of which a part was drawn."""
    if drawn == 1 or not n_drawn:
        return share, share
    z2_n = norm.ppf(0.975) ** 2 / n_drawn * (1 - drawn)  # of a finite population
    middle = (share + z2_n / 2) / (1 + z2_n)
    half = np.sqrt(z2_n * (share * (1 - share) + z2_n / 4)) / (1 + z2_n)
    return float(middle - half), float(middle + half)


class Intersection:
    """Base of the results of KNI and RbNI."""

    title: ClassVar[str]
    score: float
    interval: tuple[float, float]
    per_batch: pd.DataFrame
    n_scored: int
    n_cells: int
    options: dict[str, Any]

    def to_series(self) -> pd.Series:
        """Return the single numbers, one entry each: rows of a table that compares embeddings."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        numbers = {key: value for key, value in values.items() if isinstance(value, (int, float))}
        return pd.Series(numbers, name=self.title, dtype=float)

    def compared_with(self, other: Self) -> float:
        """Subtract the other score from this one; warns where the numbers of cells or the options differ.

        Raises
        ------
        TypeError
            If the other is the score of another kind.
        """
        if type(self) is not type(other):
            message = f"a {type(self).__name__} compares with another one only; this is a {type(other).__name__}"
            raise TypeError(message)
        unlike = [
            f"{key}={value} and {other.options[key]}"
            for key, value in self.options.items()
            if other.options[key] != value
        ]
        if self.n_cells != other.n_cells:
            unlike.insert(0, f"{self.n_cells:,} and {other.n_cells:,} cells (use subsample=)")
        if unlike:
            warn(f"these scores do not compare: {'; '.join(unlike)}", UserWarning, stacklevel=2)
        return self.score - other.score

    def __repr__(self) -> str:
        values = {str(key): value for key, value in self.to_series().items()}
        numbers = pd.Series({key: f"{x:,.0f}" if key.startswith("n_") else f"{x:.3f}" for key, x in values.items()})
        if self.n_scored < self.n_cells:
            numbers["score"] += " (95 %: {:.3f} to {:.3f})".format(*self.interval)
        options = ", ".join(f"{key}={value}" for key, value in self.options.items() if value is not None)
        batches = self.per_batch.to_string(float_format="{:.3f}".format)
        return for_terminal(f"{self.title} ({options})\n{numbers.to_string()}\n\n{batches}")
