"""The scores of :func:`evaluate`: what each computes, on an embedding with all that they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus._neighbors import Neighbors, nearest, nearest_within

from ._batch_entropy import batch_entropy
from ._checks import coded_batches
from ._graph_connectivity import graph_connectivity
from ._isolated_label_score import isolated_label_score
from ._kni import kni
from ._label_mixing import label_mixing
from ._label_purity import label_purity
from ._label_transfer_report import label_transfer_report
from ._neighbor_vote import UNLABELLED
from ._rbni import rbni
from ._scib import principal_component_regression, scib_functions

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

_LARGEST_K = 90
#: Scores whose time grows with the square of the number of cells.
_QUADRATIC = {
    "silhouette of labels", "silhouette of batches", "BRAS", "isolated labels (silhouette)", "kBET per label", "RbNI"
}  # fmt: skip
#: Clusterings that are compared with labels.
_AGREEMENTS = {"k-means", "Leiden"}


@dataclass(frozen=True)
class ScoredCells:
    """An embedding with all that its scores share."""

    embedding: NDArray
    batches: NDArray
    labels: Any  # NDArray, or None
    k: int
    n_sampled: int
    seed: int

    @cached_property
    def neighbors(self) -> Neighbors:
        found = nearest_within(self.embedding, min(_LARGEST_K, len(self.embedding) - 1))
        # they outlive the search: half the memory is enough to name cells, and scib-metrics computes in float32
        return Neighbors(found.indices.astype(np.int32), found.distances.astype(np.float32))

    @cached_property
    def has_label(self) -> NDArray[np.bool_]:
        import pandas as pd

        return ~(pd.isna(self.labels) | np.isin(self.labels.astype(str), list(UNLABELLED)))  # type: ignore[no-any-return]

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
        labels = None if self.labels is None else self.labels[rows]
        return ScoredCells(self.embedding[rows], self.batches[rows], labels, self.k, self.n_sampled, self.seed)

    @cached_property
    def scib(self) -> dict[str, Callable[[], Any]]:
        import pandas as pd

        batches, _ = coded_batches(self.batches, len(self.embedding))
        labels = batches if self.labels is None else pd.factorize(self.labels, sort=True)[0]
        return scib_functions(self.embedding, self.neighbors, batches, labels)

    def around(self, k: int) -> dict[str, Any]:
        k = min(k, self.neighbors.indices.shape[1])
        return {"k": k, "neighbors": self.neighbors.indices}

    @cached_property
    def label_mixing(self) -> pd.DataFrame:
        return label_mixing(self.embedding, self.batches, self.labels, **self.around(self.k))

    def per_label(self) -> pd.DataFrame:
        cells = self.labelled
        return cells.label_mixing.assign(label_purity=label_purity(cells.embedding, cells.labels, **cells.around(30)))


def score_functions(
    cells: ScoredCells, reference: NDArray | None, before: Any
) -> dict[str, Callable[[], tuple[Any, int]]]:
    """Return what computes each score, with the number of cells it takes."""

    def on(view: Callable[[], ScoredCells], compute: Callable[[ScoredCells], Any]) -> Callable[[], tuple[Any, int]]:
        def run() -> tuple[Any, int]:
            seen = view()
            return compute(seen), len(seen.batches)

        return run

    every, labelled, sampled = (lambda: cells), (lambda: cells.labelled), (lambda: cells.sampled)
    functions: dict[str, Callable[[], tuple[Any, int]]] = {
        "EBM": on(every, lambda c: batch_entropy(c.embedding, c.batches, normalize=True, **c.around(c.k)).mean()),
        "iLISI": on(every, lambda c: c.scib["iLISI"]()),
        "kBET": on(every, lambda c: c.scib["kBET"]()),
        "graph connectivity": on(labelled, lambda c: graph_connectivity(c.embedding, c.labels, **c.around(c.k)).mean()),
        "label purity": on(labelled, lambda c: label_purity(c.embedding, c.labels, **c.around(30)).mean()),
        "isolated labels": on(
            labelled, lambda c: isolated_label_score(c.embedding, c.batches, c.labels, **c.around(c.k)).mean()
        ),
        "one-batch types apart": on(labelled, _apart),
        "KNI": on(labelled, lambda c: kni(c.embedding, c.batches, c.labels, k=min(50, len(c.batches) - 1)).score),
        "RbNI": on(sampled, lambda c: rbni(c.embedding, c.batches, c.labels).score),
        "mapping": lambda: (_mapping(cells, reference), len(cells.batches)),
        "PCR": on(every, lambda c: principal_component_regression(before, c.embedding, c.batches)),
    }
    for name in ("cLISI", *_AGREEMENTS):
        functions[name] = on(labelled, partial(_scib, name))
    for name in _QUADRATIC - {"RbNI"}:
        functions[name] = on(sampled, partial(_scib, name))
    return functions


def by_chance(cells: ScoredCells, score: str) -> Any:
    """Return what the embedding would score if labels were dealt to the cells at random."""
    if score == "one-batch types apart":  # their labels would not be of one batch any more
        around = cells.labelled
        return 1 - batch_entropy(around.embedding, around.batches, normalize=True, **around.around(around.k)).mean()
    if score in _AGREEMENTS:  # near 0 by definition, and clusters cost the most
        return {f"{name} {score}": 0.0 for name in ("NMI", "ARI")}
    return score_functions(cells.shuffled, None, None)[score]()[0]


def _scib(name: str, cells: ScoredCells) -> Any:
    return cells.scib[name]()


def _apart(cells: ScoredCells) -> float:
    """Return 1 for types of one batch that keep apart from other batches, NaN if there is no such type."""
    table = cells.label_mixing
    entropies = table.loc[table["expected"] == "apart", "entropy"]
    return float(1 - entropies.mean())


def _mapping(cells: ScoredCells, reference: Any) -> dict[str, float]:
    """Give query cells the label that most of their nearest reference cells have."""
    labelled, reference = cells.labelled, reference[cells.has_label]
    theirs, ours = labelled.embedding[reference], labelled.embedding[~reference]
    labels = labelled.labels.astype(str)
    codes, names = coded_batches(labels[reference], len(theirs), "labels")
    k = min(cells.k, len(theirs))
    votes = np.zeros((len(ours), len(names)))
    indices = nearest(ours, theirs, k).indices
    np.add.at(votes, (np.arange(len(ours))[:, None], codes[indices]), 1 / k)
    best = votes.argmax(axis=1)
    report = label_transfer_report(
        labels[~reference],
        np.asarray(names)[best],
        np.clip(1 - votes[np.arange(len(ours)), best], 0, 1),
        known_labels=names,
    )
    return {
        "label accuracy": report.accuracy,
        "macro F1": report.macro_f1,
        "AUROC of unseen types": report.auroc_unseen,
    }


def stratified_draw(batches: NDArray, labels: NDArray | None, n_cells: int, seed: int) -> NDArray[np.int64]:
    """Draw cells such that each pair of batch and label keeps its share, to within a cell."""
    import pandas as pd

    strata = pd.factorize(pd.MultiIndex.from_arrays([batches, batches if labels is None else labels]))[0]
    order = np.random.default_rng(seed).permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]  # stratum by stratum, at random within
    evenly = np.floor(np.linspace(0, len(order), n_cells, endpoint=False)).astype(int)
    return np.sort(order[evenly])
