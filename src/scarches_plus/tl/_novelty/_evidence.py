"""Join what speaks for and against the labels of a reference, for pools of a query's cells.

Pure functions of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import pdist, squareform

from ._examples import Examples, correlations, matched, refined

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Agreement of a label where no two batches tell what to expect.
_USUAL = 0.8
#: What a label's cells reach in the query is this quantile, drawn to the expected as if by so many further cells.
_QUANTILE, _PRIOR = 0.95, 20
#: A label with fewer pools reaches nothing of its own.
_LEAST = 5


@dataclass(frozen=True, eq=False)
class Evidence:
    """Comparison of a query with the labels of a reference.

    Attributes
    ----------
    matched, refined
        Examples of labels among the query's clusters and among its pools.
    standard
        Agreement that cells of each label should reach: the mean of what the reference leads to expect and of what the
        best cells of the query reach, shape ``(n_labels,)``.
    best
        Agreement that a pool of the best cluster for each label would reach, shape ``(n_labels,)``.
    typical
        Median agreement of matched clusters with their labels, 0 without any.
    contrast
        Largest agreement of a matched cluster, plus half the spread of the clusters relative to the distance of
        neighbouring labels: small where the query has no contrasts to judge by, as if of one type.
    """

    matched: Examples
    refined: Examples
    standard: NDArray
    best: NDArray
    typical: float
    contrast: float

    def evaluate(self, pools: NDArray, without: NDArray | None = None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return how much agreement each pool lacks, and the label that explains it best.

        It lacks what is missing from the standard of its label, and what another cluster of the query is a better
        example of the label by.

        Parameters
        ----------
        pools
            Log expression, shape ``(n_pools, n_genes)``.
        without
            Label that may not explain the pool, shape ``(n_pools,)``.
        """
        rows = np.arange(len(pools))
        barred = np.zeros((len(pools), len(self.standard)))
        if without is not None:
            barred[rows, without] = -np.inf
        agreement = self.matched.agreement(pools) + barred
        label = agreement.argmax(axis=1)
        missing = self.best[label] - agreement[rows, label]
        surplus = self.refined.agreement(pools) - self.standard + barred
        label = surplus.argmax(axis=1)
        return missing - surplus[rows, label], label

    def stand_ins(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Return what would be said of the query's own examples if the reference lacked their label.

        Returns
        -------
        tuple
            The labels with an example; how much agreement the example lacks with all other labels; the label that
            would explain it best.
        """
        present = np.flatnonzero(self.refined.trust > 0)
        if len(present) < 2:
            return present[:0], np.zeros(0), present[:0]
        missing, label = self.evaluate(self.refined.logs[present], without=present)
        return present, missing, label


def weigh(
    pools: NDArray,
    clusters: NDArray,
    sizes: NDArray,
    *,
    labels: NDArray,
    variances: NDArray,
    expected: NDArray,
    weights: NDArray,
    pool_size: int,
) -> Evidence:
    """Compare a query with labels.

    Parameters
    ----------
    pools
        Log expression of pools of the query, shape ``(n_pools, n_genes)``.
    clusters, sizes
        Log expression of its clusters, shape ``(n_clusters, n_genes)``, and their numbers of cells.
    labels, variances
        Log expression of labels, and its variance among the cells of a label, shape ``(n_labels, n_genes)``.
    expected
        Agreement that the batches of the reference reach with one another, shape ``(n_labels,)``.
    weights
        Of genes, shape ``(n_genes,)``.
    pool_size
        Cells in a pool.
    """
    first, pairs = matched(clusters, labels, weights)
    of_clusters = first.agreement(clusters)
    of_pairs = of_clusters[pairs[:, 0], pairs[:, 1]]
    attenuation = first.attenuation(variances, pool_size)
    expected = expected * attenuation
    final = refined(first, pools, expected)
    return Evidence(
        matched=first,
        refined=final,
        standard=(expected + _reached(final.agreement(pools), expected)) / 2,
        best=of_clusters.max(axis=0) * attenuation,
        typical=float(np.median(of_pairs)) if len(pairs) else 0.0,
        contrast=(float(of_pairs.max()) if len(pairs) > 1 else 0.0) + 0.5 * _spread(clusters, sizes, labels, weights),
    )


def _reached(agreement: NDArray, expected: NDArray) -> NDArray[np.float64]:
    """Return the agreement that the best pools of each label reach, drawn to the expected where there are few."""
    label = (agreement - expected).argmax(axis=1)
    own = [agreement[label == one, one] for one in range(len(expected))]
    best = np.array([np.quantile(one, _QUANTILE) if len(one) else 0.0 for one in own])
    n = np.array([len(one) for one in own])
    enough = n >= _LEAST
    usual = expected + (np.median((best - expected)[enough]) if enough.any() else 0.0)
    return (n * best + _PRIOR * usual) / (n + _PRIOR)  # type: ignore[no-any-return]


def expected_agreement(
    logs: NDArray, of_label: NDArray, of_batch: NDArray, n_labels: int, weights: NDArray
) -> NDArray[np.float64]:
    """Return the agreement of each label's groups with the same label in the other batches, shape ``(n_labels,)``.

    A group's contrast is taken within its batch, against the mean of the batch's other labels. Labels of one batch get
    the mean of the others, and 0.8 where there is none.

    Parameters
    ----------
    logs
        Log expression of groups, shape ``(n_groups, n_genes)``.
    of_label, of_batch
        Label and batch of each group, the batch -1 where there are several, shape ``(n_groups,)``.
    n_labels
        Number of labels.
    weights
        Of genes, shape ``(n_genes,)``.
    """
    found: list[list[float]] = [[] for _ in range(n_labels)]
    for batch in np.unique(of_batch[of_batch >= 0]):
        here = of_batch == batch
        groups = [row for row in np.flatnonzero(here) if ((of_label == of_label[row]) & ~here).any()]
        if len(groups) < 2:
            continue
        own = logs[groups]
        others = np.array([logs[(of_label == of_label[row]) & ~here].mean(axis=0) for row in groups])
        for position, row in enumerate(groups):
            rest = np.arange(len(groups)) != position
            first, second = (((rows[position] - rows[rest].mean(axis=0)) * weights)[None] for rows in (own, others))
            found[of_label[row]].append(float(correlations(first, second)[0, 0]))
    means = np.array([np.mean(one) if one else np.nan for one in found])
    usual = float(np.nanmean(means)) if np.isfinite(means).any() else _USUAL
    return np.where(np.isnan(means), usual, means)


def _spread(clusters: NDArray, sizes: NDArray, labels: NDArray, weights: NDArray) -> float:
    """Return the query's standard deviation over clusters, in units of the usual distance of neighbouring labels."""
    distances = squareform(pdist(labels * weights))
    np.fill_diagonal(distances, np.inf)
    unit = float(np.median(distances.min(axis=1)))
    deviations = (clusters - np.average(clusters, axis=0, weights=sizes)) * weights
    return float(np.sqrt((sizes[:, None] * deviations**2).sum() / sizes.sum())) / unit if unit > 0 else 0.0
