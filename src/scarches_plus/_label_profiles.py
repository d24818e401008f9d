"""Hold label profiles: the expression of a reference's labels without its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arguments as check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Labels of fewer cells do not leave the house.
FEWEST_CELLS = 20
#: Losses are kept as so many quantiles of each batch.
N_QUANTILES = 101


@dataclass(frozen=True, eq=False)
class LabelProfiles:
    """The labels of a reference without its cells: enough to say which query cells none of them explains.

    Attributes
    ----------
    labels
        Names of labels.
    genes
        Names of genes.
    logs
        Log expression of the labels, ``log(share of counts + 0.001)``, averaged over batches, shape
        ``(n_labels, n_genes)``.
    depths
        Counts of a cell for which the next two hold, from the shallowest, shape ``(n_depths,)``.
    expected
        Correlation that cells of a batch reach with their label in the OTHER batches, shape ``(n_depths, n_labels)``.
    losses
        How far cells of each batch fall short of it when nobody tells their labels, as 101 quantiles, shape
        ``(n_depths, n_batches, 101)``. What the novelty of known cells looks like.
    batches
        The batches that were held out one by one, shape ``(n_batches,)``.
    n_cells
        Number of cells of each label, shape ``(n_labels,)``.
    left_out
        Labels with too few cells to describe. Their cells in a query look novel.
    """

    labels: tuple[str, ...]
    genes: tuple[str, ...]
    logs: NDArray
    depths: NDArray
    expected: NDArray
    losses: NDArray
    batches: tuple[str, ...]
    n_cells: NDArray
    left_out: tuple[str, ...] = ()

    def at_depth(self, depth: float) -> tuple[NDArray, NDArray]:
        """Return expected agreement and losses for cells of so many counts, linear in the logarithm of the depth."""
        check.number("depth", depth, above=0)
        at = np.clip(np.log(depth), np.log(self.depths[0]), np.log(self.depths[-1]))
        above = int(np.searchsorted(np.log(self.depths), at))
        if above == 0:
            return self.expected[0], self.losses[0]
        low, high = np.log(self.depths[above - 1]), np.log(self.depths[above])
        share = (at - low) / (high - low)
        mixed = ((1 - share) * values[above - 1] + share * values[above] for values in (self.expected, self.losses))
        return tuple(mixed)  # type: ignore[return-value]

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
