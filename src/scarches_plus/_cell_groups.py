"""Divide cells into groups of alike cells, none of them small.

Pure functions of arrays.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Cells by which a large group is divided.
_SAMPLE = 4000
_ROUNDS = 8


def divide_cells(
    features: NDArray, groups: Sequence[NDArray], fewest: int, most_groups: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Divide groups further, always the one with the largest sum of squares, by two means (bisecting k-means).

    Parameters
    ----------
    features
        What makes cells alike, shape ``(n_cells, n_features)``.
    groups
        Rows of each group to begin with.
    fewest
        Cells of a group at least; smaller ones of the beginning are left out.
    most_groups
        Groups at most; of more at the beginning, the largest stay.
    rng
        Draws the cells by which large groups are divided.

    Returns
    -------
    list
        Rows of each group, the groups in the order of their first rows.
    """
    kept = sorted((rows for rows in groups if len(rows) >= fewest), key=len, reverse=True)[:most_groups]
    done: list[NDArray[np.int64]] = []
    open_groups = [(-_sum_of_squares(features[rows]), number, rows) for number, rows in enumerate(kept)]
    heapify(open_groups)
    number = len(kept)
    while open_groups and len(done) + len(open_groups) < most_groups:
        _, _, rows = heappop(open_groups)
        if len(rows) < 2 * fewest:
            done.append(rows)
            continue
        first = _first_half(features[rows], fewest, rng)
        for part in (rows[first], rows[~first]):
            heappush(open_groups, (-_sum_of_squares(features[part]), number, part))
            number += 1
    return sorted([*done, *(rows for _, _, rows in open_groups)], key=lambda rows: int(rows[0]))


def _sum_of_squares(values: NDArray) -> float:
    return float(np.square(values - values.mean(axis=0)).sum())


def _first_half(values: NDArray, fewest: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which cells go with the first of two means; both have enough cells."""
    sample = values if len(values) <= _SAMPLE else values[rng.choice(len(values), _SAMPLE, replace=False)]
    spread = sample - sample.mean(axis=0)
    farthest = spread[np.square(spread).sum(axis=1).argmax()]  # a direction to begin with
    axis = spread.T @ (spread @ farthest)
    for _ in range(_ROUNDS):
        first = spread @ axis > 0
        if first.all() or not first.any():
            break
        one, other = spread[first].mean(axis=0), spread[~first].mean(axis=0)
        axis = one - other
        spread = spread - (one + other) / 2
    along = (values - sample.mean(axis=0)) @ axis
    order = np.argsort(along, kind="stable")
    n_other = int(np.clip((spread @ axis <= 0).mean() * len(values), fewest, len(values) - fewest))
    first = np.zeros(len(values), dtype=bool)
    first[order[n_other:]] = True
    return first
