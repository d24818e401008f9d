"""Compute each score of :func:`evaluate` on an embedding."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scarches_plus._neighbors import nearest
from scarches_plus.metrics._labels.isolated_label_score import isolated_label_score
from scarches_plus.metrics._labels.label_purity import label_purity
from scarches_plus.metrics._labels.label_transfer_report import label_transfer_report
from scarches_plus.metrics._mixing.batch_entropy import batch_entropy
from scarches_plus.metrics._mixing.graph_connectivity import graph_connectivity
from scarches_plus.metrics._mixing.kni import kni
from scarches_plus.metrics._mixing.rbni import rbni

from ._checks import coded_batches
from ._neighbor_vote import at_one_point
from ._scib import principal_component_regression
from ._undefined import why_undefined

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._scored_cells import ScoredCells


#: Clusterings that are compared with labels.
_AGREEMENTS = ("k-means", "Leiden")
#: Scores of several numbers.
_PARTS = {
    **{name: (f"NMI {name}", f"ARI {name}") for name in _AGREEMENTS},
    "mapping": ("label accuracy", "macro F1", "AUROC of unseen types"),
}


def scored(cells: ScoredCells, score: str) -> tuple[dict[str, float], int, str]:
    """Return the numbers of a score by name, how many cells it takes, and why it is not defined if it is not."""
    takes, compute = SCORES[score]
    seen: ScoredCells = getattr(cells, takes)
    why = why_undefined(score, seen)
    value = np.nan if why else compute(seen)
    numbers = value if isinstance(value, dict) else dict.fromkeys(_PARTS.get(score, (score,)), float(value))
    return numbers, len(seen.batches), why


def by_chance(cells: ScoredCells, score: str) -> dict[str, float]:
    """Return what the embedding would score if labels were dealt to the cells at random."""
    if score == "one-batch types apart":  # their labels would not be of one batch any more
        return {score: 1 - _entropy_of_batches(cells.labelled)}
    if score in _AGREEMENTS:  # near 0 by definition, and clusters cost the most
        return dict.fromkeys(_PARTS[score], 0.0)
    return scored(cells.shuffled, score)[0]


def _entropy_of_batches(cells: ScoredCells) -> float:
    return batch_entropy(cells.embedding, cells.batches, normalize=True, **cells.around(cells.k)).mean()  # type: ignore[no-any-return]


def _intersection(score: Callable[..., Any], cells: ScoredCells, **options: Any) -> float:
    """Return a score that scales the embedding first; at one point nobody is near."""
    if at_one_point(cells.embedding):
        return 0.0
    return score(cells.embedding, cells.batches, cells.labels, unlabelled=(), **options).score  # type: ignore[no-any-return]


def _scib(name: str, cells: ScoredCells) -> Any:
    return cells.scib[name]()


def _apart(cells: ScoredCells) -> float:
    """Return 1 for types of one batch that keep apart from other batches, NaN if there is no such type."""
    table = cells.label_mixing
    entropies = table.loc[table["expected"] == "apart", "entropy"]
    return float(1 - entropies.mean())


def _mapping(cells: ScoredCells) -> dict[str, float]:
    """Give query cells the label that most of their nearest reference cells have."""
    labelled, reference = cells.labelled, cells.reference[cells.has_label]
    theirs, ours = labelled.embedding[reference], labelled.embedding[~reference]
    labels = labelled.labels.astype(str)
    codes, names = coded_batches(labels[reference], len(theirs), "labels")
    votes = np.zeros((len(ours), len(names)))
    indices = nearest(ours, theirs, cells.k).indices
    np.add.at(votes, (np.arange(len(ours))[:, None], codes[indices]), 1 / cells.k)
    best = votes.argmax(axis=1)
    report = label_transfer_report(
        labels[~reference],
        np.asarray(names)[best],
        np.clip(1 - votes[np.arange(len(ours)), best], 0, 1),
        known_labels=names,
        unlabelled=(),
    )
    return dict(zip(_PARTS["mapping"], (report.accuracy, report.macro_f1, report.auroc_unseen), strict=True))


#: Which cells a score takes, and how it is computed. What grows with the square of their number takes a sample.
SCORES: dict[str, tuple[Literal["every", "labelled", "sampled"], Callable[[ScoredCells], Any]]] = {
    "EBM": ("every", _entropy_of_batches),
    "iLISI": ("every", partial(_scib, "iLISI")),
    "kBET": ("every", partial(_scib, "kBET")),
    "PCR": ("every", lambda c: principal_component_regression(c.before, c.embedding, c.batches)),
    "mapping": ("every", _mapping),
    "graph connectivity": (
        "labelled", lambda c: graph_connectivity(c.embedding, c.labels, **c.around(c.k)).mean()
    ),
    "label purity": ("labelled", lambda c: label_purity(c.embedding, c.labels, **c.around(30)).mean()),
    "isolated labels": (
        "labelled", lambda c: isolated_label_score(c.embedding, c.batches, c.labels, **c.around(c.k)).mean()
    ),
    "one-batch types apart": ("labelled", _apart),
    "KNI": ("labelled", lambda c: _intersection(kni, c, k=min(50, len(c.batches) - 1))),
    "RbNI": ("sampled", partial(_intersection, rbni)),
    **{name: ("labelled", partial(_scib, name)) for name in ("cLISI", *_AGREEMENTS)},
    **{
        name: ("sampled", partial(_scib, name))
        for name in (
            "silhouette of labels", "silhouette of batches", "BRAS", "isolated labels (silhouette)", "kBET per label"
        )
    },
}  # fmt: skip
