"""Hold label profiles: the expression of a reference's labels without its cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Groups of fewer cells are not put into bundles.
FEWEST_CELLS = 20
#: Batch of a group that joins the cells of several batches, each too few for a group of its own.
SEVERAL = -1
#: Log expression is ``log(share of counts + this)``.
FLOOR = 1e-3


@dataclass(frozen=True, eq=False)
class LabelProfiles:
    """The labels of a reference without its cells: enough to say which query cells none of them explains.

    Cells of one label and one batch form a group.

    Attributes
    ----------
    labels
        Names of labels.
    genes
        Names of genes.
    of_label, of_batch
        Position of each group's label in ``labels`` and of its batch in ``batches``, shape ``(n_groups,)``. The batch
        is -1 where a label has too few cells in every batch and those of all batches are one group.
    logs
        Log expression of the groups, ``log(mean share of counts + 0.001)``, shape ``(n_groups, n_genes)``.
    variances
        Variance of ``log(share of counts + 0.001)`` among the cells of a group, averaged over the groups of a label,
        shape ``(n_labels, n_genes)``.
    n_cells
        Number of cells of each group, shape ``(n_groups,)``.
    batches
        Names of batches.
    left_out
        Labels with too few cells to describe. Their cells in a query look novel.
    """

    labels: tuple[str, ...]
    genes: tuple[str, ...] = field(repr=False)
    of_label: NDArray = field(repr=False)
    of_batch: NDArray = field(repr=False)
    logs: NDArray = field(repr=False)
    variances: NDArray = field(repr=False)
    n_cells: NDArray = field(repr=False)
    batches: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def over_batches(self) -> NDArray[np.float64]:
        """Return the log expression of the labels, each batch weighing the same, shape ``(n_labels, n_genes)``."""
        return np.array([self.logs[self.of_label == one].mean(axis=0) for one in range(len(self.labels))])

    def batch_variance(self) -> NDArray[np.float64]:
        """Return the variance of a label's log expression between batches, mean over labels, shape ``(n_genes,)``.

        0 where no label has two batches: nothing is known about batches then.
        """
        groups = [self.logs[self.of_label == one] for one in range(len(self.labels))]
        variances = [group.var(axis=0, ddof=1) for group in groups if len(group) > 1]
        return np.mean(variances, axis=0) if variances else np.zeros(self.logs.shape[1])  # type: ignore[no-any-return]

    def within_variance(self) -> NDArray[np.float64]:
        """Return the variance of cells' log expression within groups, mean over cells, shape ``(n_genes,)``."""
        sizes = np.bincount(self.of_label, self.n_cells, minlength=len(self.labels))
        return np.average(self.variances, axis=0, weights=sizes)  # type: ignore[no-any-return]

    def to_plain(self) -> dict[str, Any]:
        """Return lists of names and arrays."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> LabelProfiles:
        """Undo :meth:`to_plain`."""
        names = {"labels", "genes", "batches", "left_out"}
        values: dict[str, Any] = {
            key: tuple(value) if key in names else np.asarray(value) for key, value in plain.items()
        }
        return cls(**values)


def on_genes(profiles: LabelProfiles, columns: NDArray) -> LabelProfiles:
    """Return the profiles of some genes, by their positions, with shares of the counts of these genes.

    Variances of logarithms follow to first order: where a share :math:`s` becomes :math:`r s`, they grow by the square
    of :math:`r (s + f) / (r s + f)`, with 0.001 for :math:`f`.
    """
    shares = np.maximum(np.exp(profiles.logs[:, columns].astype(np.float64)) - FLOOR, 0)
    factors = 1 / np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    steeper = factors * (shares + FLOOR) / (factors * shares + FLOOR)
    labels = range(len(profiles.labels))
    scale = np.array(
        [
            np.average(steeper[rows] ** 2, axis=0, weights=profiles.n_cells[rows])
            for rows in (profiles.of_label == one for one in labels)
        ]
    )
    return replace(
        profiles,
        genes=tuple(profiles.genes[column] for column in columns),
        logs=np.log(factors * shares + FLOOR),
        variances=profiles.variances[:, columns] * scale,
    )
