"""Compare cells with labels, against what the OTHER labels look like in query and reference.

Pure functions of arrays. A query cell's contrast is its log expression less the query's centre, a label's its profile
less the labels' centre. Contrasts leave out what all cells of the query share (technology, chemistry, species).
The centre that a label is judged against is made of the other labels alone: cells that stand in for a label which the
query lacks do not move the centre that they are judged against.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ITERATIONS = 10
#: A pair that agrees less than this share of the best one is no pair.
_OF_THE_BEST = 0.5
#: Share of a label's pools, those that agree best, that are its example.
_SHARE = 0.3
#: A label with fewer pools has no example.
_LEAST = 5
_REFINEMENTS = 5


def correlations(rows: NDArray, columns: NDArray) -> NDArray[np.float64]:
    """Return Pearson's correlation of every row of one matrix with every row of another."""
    first = rows - rows.mean(axis=1, keepdims=True)
    second = columns - columns.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)[None]
    return np.divide(first @ second.T, lengths, out=np.zeros((len(rows), len(columns))), where=lengths > 0)


@dataclass(frozen=True, eq=False)
class Examples:
    """Hold examples of labels in a reference and in a query.

    Attributes
    ----------
    profiles
        Log expression of labels in the reference, shape ``(n_labels, n_genes)``.
    logs
        Log expression of the query's best example of each label, of the same shape.
    trust
        How much a label counts in the centres: its agreement squared, 0 without an example, shape ``(n_labels,)``.
    weights
        Weights of genes, shape ``(n_genes,)``.
    """

    profiles: NDArray
    logs: NDArray
    trust: NDArray
    weights: NDArray

    @cached_property
    def _origin(self) -> NDArray:
        """Any point near the query: it cancels, and keeps sums of squares small."""
        return self.logs.mean(axis=0)

    def _weighted(self, rows: NDArray) -> NDArray[np.float64]:
        weighted = rows * self.weights
        return weighted - weighted.mean(axis=1, keepdims=True)  # type: ignore[no-any-return]

    @cached_property
    def _against_others(self) -> tuple[NDArray, NDArray, NDArray]:
        """Return each label's contrast, the query's centre it is judged against, and whether there is one."""
        examples, profiles = self._weighted(self.logs - self._origin), self._weighted(self.profiles)
        rest = self.trust.sum() - self.trust
        judged = rest > 1e-9 * max(self.trust.sum(), 1e-300)
        share = np.divide(1, rest, out=np.zeros_like(rest), where=judged)[:, None]
        own = self.trust[:, None]
        centers = (self.trust @ examples - own * examples) * share
        return profiles - (self.trust @ profiles - own * profiles) * share, centers, judged

    def attenuation(self, variances: NDArray, n_cells: int) -> NDArray[np.float64]:
        r"""Return what the noise of pools leaves of a label's agreement, shape ``(n_labels,)``.

        With the variance over genes of the label's weighted contrast :math:`S` and of the weighted mean of ``n_cells``
        cells :math:`N` it is :math:`\sqrt{S / (S + N)}` (Spearman 1904, correction for attenuation): labels with little
        contrast agree less.

        Parameters
        ----------
        variances
            Variance of cells' log expression within each label, shape ``(n_labels, n_genes)``.
        n_cells
            Cells in a pool.
        """
        signal = self._against_others[0].var(axis=1)
        noise = (variances * self.weights**2).mean(axis=1) / n_cells
        return np.sqrt(np.divide(signal, signal + noise, out=np.zeros_like(signal), where=signal > 0))  # type: ignore[no-any-return]

    def agreement(self, logs: NDArray) -> NDArray[np.float64]:
        """Return the correlation of weighted contrasts of rows and labels, shape ``(n_rows, n_labels)``.

        -1 for labels that no other label gives a centre for.
        """
        contrasts, centers, judged = self._against_others
        rows = self._weighted(logs - self._origin)
        products = rows @ contrasts.T - (centers * contrasts).sum(axis=1)
        squares = (rows**2).sum(axis=1)[:, None] - 2 * rows @ centers.T + (centers**2).sum(axis=1)
        lengths = np.sqrt(np.maximum(squares, 0)) * np.linalg.norm(contrasts, axis=1)
        found = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 1e-12)
        return np.where(judged, np.clip(found, -1, 1), -1.0)


def matched(clusters: NDArray, profiles: NDArray, weights: NDArray) -> tuple[Examples, NDArray[np.int64]]:
    """Pair clusters of the query with labels: those that agree best with each other, mutually.

    Parameters
    ----------
    clusters
        Log expression of clusters, shape ``(n_clusters, n_genes)``.
    profiles, weights
        As in :class:`Examples`.

    Returns
    -------
    examples
        The clusters of pairs; labels without one have no trust.
    pairs
        Position of each pair's cluster and label, shape ``(n_pairs, 2)``.
    """
    here, there = clusters.mean(axis=0), profiles.mean(axis=0)
    pairs, agreement = np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    for _ in range(_ITERATIONS):
        found = correlations((clusters - here) * weights, (profiles - there) * weights)
        best = found.argmax(axis=0)
        mutual = found.argmax(axis=1)[best] == np.arange(len(profiles))
        of_label = np.flatnonzero(mutual & (found.max(axis=0) >= max(_OF_THE_BEST * found.max(), 1e-9)))
        again = np.column_stack([best[of_label], of_label])
        if not len(again) or np.array_equal(again, pairs):
            break
        pairs, agreement = again, found[best[of_label], of_label]
        shares = agreement**2 / (agreement**2).sum()
        here, there = shares @ clusters[pairs[:, 0]], shares @ profiles[pairs[:, 1]]
    logs, trust = np.tile(clusters.mean(axis=0), (len(profiles), 1)), np.zeros(len(profiles))
    logs[pairs[:, 1]], trust[pairs[:, 1]] = clusters[pairs[:, 0]], agreement**2
    return Examples(profiles, logs, trust, weights), pairs


def refined(examples: Examples, pools: NDArray, expected: NDArray) -> Examples:
    """Replace the example of each label by the mean of the pools that agree with it best.

    Parameters
    ----------
    examples
        First examples.
    pools
        Log expression of pools, shape ``(n_pools, n_genes)``.
    expected
        Agreement that a label's own cells reach, shape ``(n_labels,)``: pools belong to the label that they surpass it
        most for.
    """
    for _ in range(_REFINEMENTS):
        agreement = examples.agreement(pools)
        label = (agreement - expected).argmax(axis=1)
        reached = agreement[np.arange(len(pools)), label]
        logs, trust = examples.logs.copy(), np.zeros(len(examples.profiles))
        for one in range(len(trust)):
            rows = np.flatnonzero(label == one)
            if len(rows) >= _LEAST:
                rows = rows[np.argsort(-reached[rows], kind="stable")[: max(_LEAST, int(_SHARE * len(rows)))]]
                logs[one], trust[one] = pools[rows].mean(axis=0), max(reached[rows].mean(), 0.0) ** 2
        trust[trust < _OF_THE_BEST**2 * trust.max()] = 0
        if not trust.any():
            break
        examples = Examples(examples.profiles, logs, trust, examples.weights)
    return examples
