"""Compute each score of :func:`evaluate` on an embedding."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scarches_plus.metrics._labels.isolated_label_score import isolated_label_score
from scarches_plus.metrics._labels.label_transfer_report import label_transfer_report
from scarches_plus.metrics._mixing.graph_connectivity import graph_connectivity

from ._cell_scores import CELL_SCORES, cell_score
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
        return {score: 1 - cell_score(cells.labelled, "EBM")}
    if score in _AGREEMENTS:  # near 0 by definition, and clusters cost the most
        return dict.fromkeys(_PARTS[score], 0.0)
    return scored(cells.shuffled, score)[0]


def _scib(name: str, cells: ScoredCells) -> Any:
    return cells.scib[name]()


def _apart(cells: ScoredCells) -> float:
    """Return 1 for types of one batch that keep apart from other batches, NaN if there is no such type."""
    table = cells.label_mixing
    entropies = table.loc[table["expected"] == "apart", "entropy"]
    return float(1 - entropies.mean())


def _mapping(cells: ScoredCells) -> dict[str, float]:
    """Score the labels that query cells get from the reference."""
    votes = cells.votes
    report = label_transfer_report(
        votes.truth, votes.predicted, votes.uncertainty, known_labels=votes.names, unlabelled=()
    )
    return dict(zip(_PARTS["mapping"], (report.accuracy, report.macro_f1, report.auroc_unseen), strict=True))


#: Which cells a score takes, and how it is computed. What grows with the square of their number takes a sample.
SCORES: dict[str, tuple[Literal["every", "labelled", "sampled"], Callable[[ScoredCells], Any]]] = {
    **{
        name: (one.takes, partial(cell_score, score=name))
        for name, one in CELL_SCORES.items() if name not in _PARTS["mapping"]
    },
    "PCR": ("every", lambda c: principal_component_regression(c.before, c.embedding, c.batches)),
    "mapping": ("every", _mapping),
    "graph connectivity": (
        "labelled", lambda c: graph_connectivity(c.embedding, c.labels, **c.around(c.k)).mean()
    ),
    "isolated labels": (
        "labelled", lambda c: isolated_label_score(c.embedding, c.batches, c.labels, **c.around(c.k)).mean()
    ),
    "one-batch types apart": ("labelled", _apart),
    **{name: ("labelled", partial(_scib, name)) for name in _AGREEMENTS},
    **{
        name: ("sampled", partial(_scib, name))
        for name in (
            "silhouette of labels", "silhouette of batches", "BRAS", "isolated labels (silhouette)", "kBET per label"
        )
    },
}  # fmt: skip
