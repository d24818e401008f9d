"""Hold an embedding with all that its scores share: neighbours, labelled cells, samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus._neighbors import Neighbors, nearest_within
from scarches_plus.metrics._labels.label_mixing import label_mixing
from scarches_plus.metrics._labels.label_purity import label_purity

from ._checks import coded_batches
from ._reference_votes import ReferenceVotes, votes_of_reference
from ._scib import scib_functions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: Neighbours that LISI looks at; the others, but for those that a user may ask for, take fewer.
_LARGEST_K = 90


@dataclass(frozen=True)
class ScoredCells:
    """An embedding with all that its scores share."""

    embedding: NDArray
    batches: NDArray
    labels: Any  # NDArray of names, None for cells without one; or None
    k: int
    n_sampled: int
    seed: int
    reference: Any = None  # which cells are of the reference, or None
    before: Any = None  # an embedding without integration, or None
    samples: Any = None  # NDArray of names, None for cells of none; or None

    @cached_property
    def values(self) -> dict[str, NDArray[np.float64]]:
        """Values of each cell, by score, as far as they were computed."""
        return {}

    @property
    def every(self) -> ScoredCells:
        return self

    @cached_property
    def neighbors(self) -> Neighbors:
        found = nearest_within(self.embedding, min(max(_LARGEST_K, self.k), len(self.embedding) - 1))
        # they outlive the search: half the memory is enough to name cells, and scib-metrics computes in float32
        return Neighbors(found.indices.astype(np.int32), found.distances.astype(np.float32))

    @cached_property
    def has_label(self) -> NDArray[np.bool_]:
        return ~pd.isna(self.labels)  # type: ignore[no-any-return]

    @cached_property
    def labelled(self) -> ScoredCells:
        """The cells that have a label; the same object if all have."""
        return self if self.has_label.all() else self._some(np.flatnonzero(self.has_label))

    @cached_property
    def shuffled(self) -> ScoredCells:
        """The labelled cells with their labels dealt anew; neighbours stay."""
        cells = self.labelled
        labels = np.random.default_rng(self.seed).permutation(cells.labels)
        dealt = replace(cells, labels=labels)
        vars(dealt)["neighbors"] = cells.neighbors
        return dealt

    @cached_property
    def sampled(self) -> ScoredCells:
        """So many labelled cells that a score may take the square of their number."""
        cells = self.labelled
        if len(cells.batches) <= self.n_sampled:
            return cells
        return cells._some(stratified_draw(cells.batches, cells.labels, self.n_sampled, self.seed))

    def _some(self, rows: NDArray) -> ScoredCells:
        labels, samples = (None if one is None else one[rows] for one in (self.labels, self.samples))
        return ScoredCells(
            self.embedding[rows], self.batches[rows], labels, self.k, self.n_sampled, self.seed, samples=samples
        )

    @cached_property
    def votes(self) -> ReferenceVotes:
        """Labels that query cells get from the reference, of cells that have a label."""
        cells = self.labelled
        return votes_of_reference(cells.embedding, cells.labels, self.reference[self.has_label], self.k)

    @cached_property
    def scib(self) -> dict[str, Callable[[], Any]]:
        batches, _ = coded_batches(self.batches, len(self.embedding))
        labels = batches if self.labels is None else pd.factorize(self.labels, sort=True)[0]
        return scib_functions(self.embedding, self.neighbors, batches, labels)

    def around(self, k: int) -> dict[str, Any]:
        return {"k": min(k, self.neighbors.indices.shape[1]), "neighbors": self.neighbors.indices}

    @cached_property
    def label_mixing(self) -> pd.DataFrame:
        return label_mixing(self.embedding, self.batches, self.labels, **self.around(self.k))

    def per_label(self) -> pd.DataFrame:
        cells = self.labelled
        return cells.label_mixing.assign(label_purity=label_purity(cells.embedding, cells.labels, **cells.around(30)))


def stratified_draw(
    batches: NDArray, labels: NDArray | None, n_cells: int, seed: int, *, ordered: bool = True
) -> NDArray[np.int64]:
    """Draw cells such that each pair of batch and label keeps its share, to within a cell.

    Unless ``ordered`` they come pair by pair, so that every second or third of them keeps the shares, too.
    """
    strata, names = pd.factorize(batches)
    if labels is not None:  # a cell without a label has the code -1
        strata = pd.factorize((pd.factorize(labels)[0] + 1) * len(names) + strata)[0]
    rng = np.random.default_rng(seed)
    strata = rng.permutation(strata.max() + 1)[strata]
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]  # stratum by stratum, at random within
    evenly = ((np.arange(n_cells) + rng.random()) * (len(order) / n_cells)).astype(int)  # every cell is equally likely
    return np.sort(order[evenly]) if ordered else order[evenly]
