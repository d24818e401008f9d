"""Explain when a score of :func:`evaluate` is not defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ._neighbor_vote import at_one_point, centered_and_spread

if TYPE_CHECKING:
    from ._scored_cells import ScoredCells

#: What :class:`Report` says of every label, needs what the scores of labels need.
PER_LABEL = "the table per label"
_BETWEEN_BATCHES = {"one-batch types apart", "KNI", "RbNI", PER_LABEL}
_BETWEEN_LABELS = {"cLISI", "k-means", "Leiden", "silhouette of labels", "isolated labels (silhouette)"}
_BATCHES_WITHIN_LABELS = {"BRAS", "silhouette of batches", "kBET per label"}
_AROUND_EACH_CELL = {"graph connectivity", "isolated labels", "one-batch types apart", PER_LABEL}
#: Cells below which scib-metrics' LISI leaves its range, and kBET passes over a label.
_FEWEST = 10


def why_undefined(score: str, cells: ScoredCells) -> str:
    """Return why a score is not defined on the cells that it takes; nothing if it is."""
    n_cells = len(cells.batches)
    if score == "mapping":
        return _why_no_mapping(cells)
    if n_cells < 2:
        return "fewer than 2 cells have a label"
    if score in {"iLISI", "cLISI"} and n_cells < _FEWEST:
        return f"{n_cells} cells are fewer than {_FEWEST}"
    if score in _AROUND_EACH_CELL and n_cells <= cells.k:
        return f"k={cells.k} neighbours need more than the {n_cells} cells that have a label"
    if score in _BETWEEN_BATCHES and (cells.batches == cells.batches[0]).all():
        return f"all cells with a label are of batch {cells.batches[0]!r}"
    if score in _BETWEEN_LABELS and (cells.labels == cells.labels[0]).all():
        return f"the only label is {cells.labels[0]!r}"
    if score in _BATCHES_WITHIN_LABELS:
        counts = pd.crosstab(cells.labels, cells.batches).to_numpy()
        n_batches, n_of_label = (counts > 0).sum(axis=1), counts.sum(axis=1)
        enough = np.maximum(n_batches + 1, _FEWEST if score == "kBET per label" else 0)
        if not ((n_batches > 1) & (n_of_label >= enough)).any():
            return "no label has enough cells in two batches or more"
    return _why_without_spread(score, cells)


def _why_without_spread(score: str, cells: ScoredCells) -> str:
    if score == "PCR" and (at_one_point(cells.embedding) or at_one_point(cells.before)):
        return "all cells lie at one point, before or after, where nothing varies"
    if score in {"KNI", "RbNI"} and not at_one_point(cells.embedding):
        _, spread = centered_and_spread(cells.embedding)
        if not spread.any():
            return "in every dimension, half of the cells or more share one value, and its quartiles scale it"
    return ""


def _why_no_mapping(cells: ScoredCells) -> str:
    n_reference, n_query = ((cells.has_label & side).sum() for side in (cells.reference, ~cells.reference))
    if not n_query:
        return "no query cell has a label"
    if n_reference < cells.k:
        return f"k={cells.k} neighbours need more than the {n_reference} reference cells that have a label"
    return ""
