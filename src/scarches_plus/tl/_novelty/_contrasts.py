"""Correlate pooled expression of query cells with label profiles, less the query's shift.

Pure functions of arrays.

A cell's pool (itself and its nearest neighbours within the query) is compared with the mean expression of every label
by the correlation of contrasts: the pool's log expression less the query's centre, against the label's less the centre
of the labels. What all cells of the query share (technology, chemistry) is no part of a contrast. The centre is that of
anchors, the pools which agree best with each label, so that cells of other types do not move it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Share of a label's pools, those that agree best, that are its anchors.
_ANCHORS = 0.3
#: A label with fewer pools has no anchors.
_LEAST = 5
#: Directions that other labels' pools vary along, removed from each pool.
_DIRECTIONS = 10
#: Share of pools, best first, that these directions come from.
_TRUSTED = 0.7
#: Directions of each label's own pools that these directions are found among.
_KEPT = 40
#: Share of the largest variance that is rounding.
_NOTHING = 1e-6
#: A label needs so many pools to tell directions.
_ENOUGH = 20
_ITERATIONS = 6
_REFINEMENTS = 3


def correlations(rows: NDArray, columns: NDArray) -> NDArray[np.float64]:
    """Return Pearson's correlation of every row of one matrix with every row of another."""
    first = rows - rows.mean(axis=1, keepdims=True)
    second = columns - columns.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)[None]
    return np.divide(first @ second.T, lengths, out=np.zeros((len(rows), len(columns))), where=lengths > 0)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Comparison of a query's cells with the labels of a reference.

    Attributes
    ----------
    profiles
        Log expression of each label, shape ``(n_labels, n_genes)``.
    expected
        Agreement that the reference's own batches reach with one another, shape ``(n_labels,)``.
    label_center, query_center
        What contrasts are taken against, shape ``(n_genes,)``.
    anchors
        Mean of each label's anchors, shape ``(n_labels, n_genes)``.
    present
        Labels that have anchors, shape ``(n_labels,)``.
    losses
        Mean loss of the anchors of each label, NaN without, shape ``(n_labels,)``.
    directions
        Label to the directions that the pools of the other labels vary along, shape ``(n_directions, n_genes)``.
    """

    profiles: NDArray
    expected: NDArray
    label_center: NDArray
    query_center: NDArray
    anchors: NDArray
    present: NDArray[np.bool_]
    losses: NDArray
    directions: dict[int, NDArray] = field(default_factory=dict)

    @property
    def least_loss(self) -> float:
        """Loss of the anchors of the label that the query agrees with best: how much of it is the query's own shift."""
        return float(self.losses[self.present].min()) if self.present.any() else 0.0

    def agreement(self, logs: NDArray) -> NDArray[np.float64]:
        """Return the correlation of each pool's contrast with each label's, shape ``(n_pools, n_labels)``."""
        return correlations(logs - self.query_center, self.profiles - self.label_center)

    def evaluate(self, logs: NDArray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return each pool's loss of agreement under the label that explains it best, and that label.

        The loss is the expected agreement of the label less the pool's: near 0 for the reference's own types, up to 1
        and more for others.
        """
        surplus = self.agreement(logs) - self.expected
        label = surplus.argmax(axis=1)
        if self.directions:
            surplus = self.agreement(self._without_shared_variation(logs, label)) - self.expected
            label = surplus.argmax(axis=1)
        return -surplus[np.arange(len(logs)), label], label

    def _without_shared_variation(self, logs: NDArray, label: NDArray) -> NDArray:
        cleaned = logs.copy()
        for one, directions in self.directions.items():
            rows = np.flatnonzero(label == one)
            center = self.anchors[one] if self.present[one] else self.query_center
            cleaned[rows] -= ((logs[rows] - center) @ directions.T) @ directions
        return cleaned


def explain(logs: NDArray, profiles: NDArray, expected: NDArray) -> Explanation:
    """Find the centre of a query's known cells, and the variation that its labels share.

    Parameters
    ----------
    logs
        Log expression of pools, shape ``(n_pools, n_genes)``.
    profiles, expected
        As in :class:`Explanation`.

    Returns
    -------
    Explanation
    """
    n_labels = len(profiles)
    center = profiles.mean(axis=0)
    nothing = np.zeros(n_labels, bool)
    state = Explanation(
        profiles,
        expected,
        center,
        logs.mean(axis=0),
        np.tile(center, (n_labels, 1)),
        nothing,
        np.full(n_labels, np.nan),
    )
    for _ in range(_ITERATIONS):
        state = _recentered(state, logs, state)
    plain = state
    for _ in range(_REFINEMENTS):
        state = _recentered(replace(state, directions=_shared_directions(logs, state)), logs, plain)
    return state


def _recentered(state: Explanation, logs: NDArray, fallback: Explanation) -> Explanation:
    """Move the centres to where the anchors of the labels are, each label as much as its anchors agree with it."""
    loss, label = state.evaluate(logs)
    anchors, weights, losses = state.anchors.copy(), np.zeros(len(state.profiles)), np.full(len(state.profiles), np.nan)
    for one in range(len(weights)):
        rows = np.flatnonzero(label == one)
        if len(rows) < _LEAST:
            continue
        best = rows[np.argsort(loss[rows], kind="stable")[: max(_LEAST, int(_ANCHORS * len(rows)))]]
        anchors[one], losses[one] = logs[best].mean(axis=0), loss[best].mean()
        weights[one] = max(state.expected[one] - losses[one], 0.0) ** 2
    if not weights.any():
        return fallback
    shares = weights / weights.sum()
    return replace(
        state,
        label_center=shares @ state.profiles,
        query_center=shares @ anchors,
        anchors=anchors,
        present=weights > 0,
        losses=losses,
    )


def _shared_directions(logs: NDArray, state: Explanation) -> dict[int, NDArray]:
    """Return, for each label, the main directions along which the pools of the OTHER labels vary.

    What varies alike in several types (donor, quality, stress) is no sign of a new type.
    """
    loss, label = state.evaluate(logs)
    parts = {}
    for one in map(int, np.flatnonzero(state.present)):
        rows = np.flatnonzero(label == one)
        if len(rows) >= _ENOUGH:
            rows = rows[np.argsort(loss[rows], kind="stable")[: int(_TRUSTED * len(rows))]]
            parts[one] = _main_variation((logs[rows] - logs[rows].mean(axis=0)) / np.sqrt(len(rows)))
    if not parts:
        return {}
    owner = np.repeat(list(parts), [len(part) for part in parts.values()])
    stacked = np.concatenate(list(parts.values()))
    products = (stacked @ stacked.T).astype(np.float64)
    directions = {}
    for one in range(len(state.profiles)):
        others = np.flatnonzero(owner != one)
        if len(others):
            n = min(_DIRECTIONS, min(len(others), stacked.shape[1]) - 1)
            values, vectors = eigh(
                products[np.ix_(others, others)], subset_by_index=[len(others) - n, len(others) - 1], driver="evr"
            )
            main = values > _NOTHING * values[-1]
            directions[one] = (vectors[:, main] / np.sqrt(values[main])).T.astype(stacked.dtype) @ stacked[others]
    return directions


def _main_variation(rows: NDArray) -> NDArray:
    """Return at most 40 rows with nearly the same products of columns: those that vary most."""
    from sklearn.utils.extmath import randomized_svd

    if min(rows.shape) <= _KEPT:
        return rows
    _, sizes, directions = randomized_svd(rows, _KEPT, n_iter=3, random_state=0)
    return sizes[:, None] * directions  # type: ignore[no-any-return]
