"""Compute scores that are averages over cells: the value of each cell, and the score of some of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from scarches_plus.metrics._mixing.batch_entropy import batch_entropy
from scarches_plus.metrics._mixing.kni import kni
from scarches_plus.metrics._mixing.rbni import rbni

from ._neighbor_vote import at_one_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ._scored_cells import ScoredCells

#: Neighbours that label purity looks at, as its source does.
_PURITY = 30


class CellScore(NamedTuple):
    """Score that is an average over cells.

    Parameters
    ----------
    takes
        Which cells have a value. What grows with the square of their number takes a sample.
    of_cells
        Value of each of them, shape ``(n,)``; NaN for none.
    average
        Score of some cells, given their values and labels.
    """

    takes: Literal["every", "labelled", "sampled"]
    of_cells: Callable[[ScoredCells], NDArray]
    average: Callable[[NDArray, Any], float]


def cell_values(cells: ScoredCells, score: str) -> NDArray[np.float64]:
    """Return the value of each cell, computed once."""
    if score not in cells.values:
        cells.values[score] = np.asarray(CELL_SCORES[score].of_cells(cells), dtype=np.float64)
    return cells.values[score]


def cell_score(cells: ScoredCells, score: str) -> float:
    """Return the score of all cells that it takes, which ``cells`` are."""
    return CELL_SCORES[score].average(cell_values(cells, score), cells.labels)


def scores_of_samples(cells: ScoredCells, score: str) -> list[dict[str, Any]]:
    """Return the score of every sample, by name, and of how many of its cells it is.

    The neighbours of its cells are among all.
    """
    takes, _, average = CELL_SCORES[score]
    seen: ScoredCells = getattr(cells, takes)
    values = cell_values(seen, score)
    counted = np.flatnonzero(~np.isnan(values))
    rows = []
    for sample, places in pd.Series(counted).groupby(seen.samples[counted]):
        some = places.to_numpy()
        labels = None if seen.labels is None else seen.labels[some]
        rows.append({
            "sample": sample, "score": score, "value": average(values[some], labels), "n_cells": len(some)
        })  # fmt: skip
    return rows


def _purity(cells: ScoredCells) -> NDArray:
    codes, around = pd.factorize(cells.labels)[0], cells.around(_PURITY)
    return (codes[around["neighbors"][:, : around["k"]]] == codes[:, None]).mean(axis=1)  # type: ignore[no-any-return]


def _intersection(score: Callable[..., Any], cells: ScoredCells, **options: Any) -> NDArray:
    """Return which cells count in a score that scales the embedding first; at one point nobody is near."""
    if at_one_point(cells.embedding):
        return np.zeros(len(cells.batches))
    found = score(cells.embedding, cells.batches, cells.labels, unlabelled=(), **options)
    return found.per_cell.to_numpy()  # type: ignore[no-any-return]


def _right(cells: ScoredCells) -> NDArray:
    """Return which query cells get their label, NaN for all that have none to get."""
    right = np.full(len(cells.batches), np.nan)
    right[cells.has_label & ~cells.reference] = cells.votes.right
    return right


def _scib(name: str, cells: ScoredCells) -> NDArray:
    return cells.scib[name]()  # type: ignore[no-any-return]


def _mean(values: NDArray, _: Any) -> float:
    return float(np.nanmean(values))


def _median(values: NDArray, _: Any) -> float:
    return float(np.nanmedian(values))


def _mean_of_labels(values: NDArray, labels: Any) -> float:
    """Return the mean in which every label counts the same."""
    return float(pd.Series(values).groupby(labels).mean().mean())


#: By name; a score of several numbers has those that are averages over cells.
CELL_SCORES: dict[str, CellScore] = {
    "EBM": CellScore("every", lambda c: batch_entropy(c.embedding, c.batches, normalize=True, **c.around(c.k)), _mean),
    "iLISI": CellScore("every", partial(_scib, "iLISI"), _median),
    "kBET": CellScore("every", partial(_scib, "kBET"), _mean),
    "label accuracy": CellScore("every", _right, _mean),
    "cLISI": CellScore("labelled", partial(_scib, "cLISI"), _median),
    "label purity": CellScore("labelled", _purity, _mean_of_labels),
    "KNI": CellScore("labelled", lambda c: _intersection(kni, c, k=min(50, len(c.batches) - 1)), _mean),
    "RbNI": CellScore("sampled", partial(_intersection, rbni), _mean),
}
