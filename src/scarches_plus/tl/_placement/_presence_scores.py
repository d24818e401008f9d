"""Compute which points of a reference the cells of a query are near to, and how many.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import beta

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Of the intervals.
_LEVEL = 0.95


def votes_for(indices: NDArray, weights: NDArray, n_points: int) -> NDArray[np.float64]:
    """Return the votes that each point of the reference gets.

    Parameters
    ----------
    indices
        Neighbours of each voter, shape ``(n_voters, k)``.
    weights
        Their weights; those of a row are its votes, shape ``(n_voters, k)``.
    n_points
        Number of points.
    """
    return np.bincount(indices.ravel(), weights.ravel(), minlength=n_points)  # type: ignore[return-value]


def presence_scores(query_votes: NDArray, own_votes: NDArray, neighbors: NDArray) -> NDArray[np.float64]:
    """Return how densely the query covers each point, 1 where as densely as the reference itself, or more.

    Parameters
    ----------
    query_votes, own_votes
        Votes of the query's cells, and of the reference's cells for each other, shape ``(n_points,)``. Their sums, the
        numbers of cells, are divided out.
    neighbors
        Points over which both are summed beside the point itself, shape ``(n_points, k)``.

    Returns
    -------
    numpy.ndarray
        In [0, 1], shape ``(n_points,)``.
    """
    around = [one / one.sum() for one in (query_votes, own_votes)]
    ours, theirs = (one + one[neighbors].sum(axis=1) for one in around)
    return np.minimum(np.divide(ours, theirs, out=np.zeros_like(ours), where=theirs > 0), 1.0)  # type: ignore[no-any-return]


def presence_by_label(
    scores: NDArray, query_votes: NDArray, n_cells: NDArray, of_label: NDArray, labels: tuple[str, ...]
) -> pd.DataFrame:
    """Return a table with a row for each label.

    Parameters
    ----------
    scores, query_votes
        What the functions above returned, shape ``(n_points,)``.
    n_cells
        Cells that each point stands for, shape ``(n_points,)``.
    of_label
        Label of each point, -1 for none, shape ``(n_points,)``.
    labels
        Names.
    """
    n_query = query_votes.sum()
    rows = []
    for one in range(len(labels)):
        points = of_label == one
        votes = query_votes[points].sum()
        low, high = beta.ppf([(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], votes + 0.5, n_query - votes + 0.5)
        rows.append(
            {
                "presence": np.average(scores[points], weights=n_cells[points]),
                "n_query": votes, "share": votes / n_query, "low": low, "high": high,
                "n_reference": int(n_cells[points].sum()), "reference_share": n_cells[points].sum() / n_cells.sum(),
            }
        )  # fmt: skip
    columns = ["presence", "n_query", "share", "low", "high", "n_reference", "reference_share"]
    return pd.DataFrame(rows, index=pd.Index(labels, name="label", dtype=object), columns=columns)
