"""Draw cells for scores several times, and average the scores over the draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import t

from scarches_plus.metrics._shared._scored_cells import stratified_draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Cells up to which all are scored unless told otherwise; of more, so many are drawn, so many times.
ALL_CELLS, DRAWN_CELLS, DRAWS = 500_000, 100_000, 3
_OF_SCORES = ("embedding", "kind", "score")
_OVER_DRAWS = {"value": "mean", "chance": "mean", "n_cells": "min", "seconds": "sum"}
_OF_LABELS = {"n_cells": "sum", "n_batches": "max", "expected": "max"}  # "mixed" is above "apart"


def draws(
    batches: NDArray, labels: NDArray | None, n_cells: int | None, n_draws: int | None, seed: int
) -> list[NDArray[np.int64] | slice]:
    """Return the rows of each draw, none of them in two; a slice of all cells where none is drawn.

    Raises
    ------
    ValueError
        If there are too few cells.
    """
    everyone = len(batches)
    if n_cells is None and everyone > ALL_CELLS:
        n_cells = DRAWN_CELLS
    if n_cells is None or (n_cells == everyone and n_draws in {None, 1}):
        if n_draws not in {None, 1}:
            most = max(2, everyone // n_draws)
            message = f"n_draws={n_draws} draws need a number of cells each: give n_cells, such as {most}"
            raise ValueError(message)
        return [slice(None)]
    n_draws = n_draws or max(1, min(DRAWS, everyone // n_cells))
    if n_cells * n_draws > everyone:
        message = (
            f"n_draws={n_draws} times n_cells={n_cells} are more than the {everyone} cells, and none is drawn twice: "
            f"give n_cells of at most {everyone // n_draws}, or fewer draws"
        )
        raise ValueError(message)
    drawn = stratified_draw(batches, labels, n_cells * n_draws, seed, ordered=False)
    return [np.sort(drawn[draw::n_draws]) for draw in range(n_draws)]


def mean_of_scores(rows: list[dict[str, Any]], of: Sequence[str] = _OF_SCORES) -> pd.DataFrame:
    """Return one row for each score of each embedding: the mean over draws, and its interval of 95 % by Student's t.

    Parameters
    ----------
    rows
        Scores of each draw.
    of
        Columns that say what a score is of.
    """
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    groups = table.groupby(list(of), sort=False)
    means = groups.agg({column: how for column, how in _OVER_DRAWS.items() if column in table})
    n = groups["value"].count()
    half = t.ppf(0.975, n - 1) * groups["value"].std() / np.sqrt(n)
    means.insert(1, "low", (means["value"] - half).clip(lower=0))
    means.insert(2, "high", (means["value"] + half).clip(upper=1))
    means["n_draws"] = n
    return means.reset_index()


def mean_of_labels(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return one row for each embedding and label, the mean over draws; cells are summed."""
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True)
    columns = table.columns.drop(["embedding", "label"])
    how = {column: _OF_LABELS.get(column, "mean") for column in columns}
    return table.groupby(["embedding", "label"], sort=False).agg(how).reset_index()
