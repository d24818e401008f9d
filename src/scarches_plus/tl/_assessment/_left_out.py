"""Leave each study out in turn: what others say of its cells, and it of theirs. Pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus._neighbors import nearest, nearest_within
from scarches_plus.tl._votes._neighbor_votes import kernel_weights, vote

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Votes of studies on each other's cells, in one embedding.

    Attributes
    ----------
    by_others
        Label that the nearest cells of other studies vote for, -1 where none has a label, shape ``(n_cells,)``.
    counts
        Cells by study, own label (-1 for none) and label by others: ``study``, ``label``, ``by_others``, ``n_cells``.
    pairs
        The same for each other study by itself, ``voter``: ``study``, ``label``, ``vote``, ``n_cells``.
    """

    by_others: NDArray[np.int64]
    counts: pd.DataFrame
    pairs: pd.DataFrame


def leave_out(embedding: NDArray, studies: NDArray, labels: NDArray, n_labels: int, k: int) -> LeftOut:
    """Let the nearest cells of all other studies, and of each of them, label each study.

    Parameters
    ----------
    embedding
        Shape ``(n_cells, d)``.
    studies, labels
        Whole numbers, shape ``(n_cells,)``; -1 is no label.
    n_labels
        Number of labels.
    k
        Neighbours that vote, as in :func:`scarches_plus.tl.transfer_labels`.
    """
    by_others = np.full(len(labels), -1, dtype=np.int64)
    pairs = []
    for study in np.unique(studies):
        here = studies == study
        by_others[here] = _labelled(
            embedding[here], embedding, labels, voters=~here & (labels >= 0), n_labels=n_labels, k=k
        )
        others = ~here & (labels >= 0)
        votes = _labelled(embedding[others], embedding, labels, voters=here & (labels >= 0), n_labels=n_labels, k=k)
        part = pd.DataFrame({"voter": study, "study": studies[others], "label": labels[others], "vote": votes})
        pairs.append(part[part["vote"] >= 0].value_counts(sort=False).rename("n_cells").reset_index())
    counts = pd.DataFrame({"study": studies, "label": labels, "by_others": by_others})
    return LeftOut(
        by_others, counts.value_counts(sort=False).rename("n_cells").reset_index(), pd.concat(pairs, ignore_index=True)
    )


def mixing_by_study(
    embedding: NDArray, studies: NDArray, groups: NDArray, k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many neighbours of each cell are of other studies, within its group, and how many even mixing gives.

    Parameters
    ----------
    embedding
        Shape ``(n_cells, d)``.
    studies, groups
        Whole numbers, shape ``(n_cells,)``; cells of group -1 are left out.
    k
        Neighbours, fewer in groups of fewer cells.

    Returns
    -------
    tuple
        Shares from 0 to 1, NaN for cells that are left out or whose group is of one study, shape ``(n_cells,)`` each.
    """
    found, expected = np.full(len(studies), np.nan), np.full(len(studies), np.nan)
    for group in np.unique(groups[groups >= 0]):
        rows = np.flatnonzero(groups == group)
        own = studies[rows]
        if len(np.unique(own)) < 2:
            continue
        neighbors = nearest_within(embedding[rows], min(k, len(rows) - 1)).indices
        found[rows] = (own[neighbors] != own[:, np.newaxis]).mean(axis=1)
        sizes = np.bincount(own)
        expected[rows] = (len(rows) - sizes[own]) / (len(rows) - 1)
    return found, expected


def strangers_around(embedding: NDArray, studies: NDArray, labels: NDArray, k: int) -> dict[tuple[int, int], float]:
    """Return how many cells around those of a study's label are of studies that lack the label.

    Parameters
    ----------
    embedding
        Shape ``(n_cells, d)``.
    studies, labels
        Whole numbers, shape ``(n_cells,)``; -1 is no label.
    k
        Neighbours, fewer for labels of fewer cells.

    Returns
    -------
    dict
        Study and label to the share of the nearest cells.
    """
    there = np.zeros((labels.max(initial=0) + 1, studies.max(initial=0) + 1), dtype=bool)
    there[labels[labels >= 0], studies[labels >= 0]] = True
    k = min(k, len(labels) - 1)
    neighbors = nearest_within(embedding, k).indices if k else np.zeros((len(labels), 0), dtype=int)
    strangers = ~there[labels[:, np.newaxis], studies[neighbors]]
    found = {}
    for study, label in {*zip(studies.tolist(), labels.tolist(), strict=True)}:
        here = np.flatnonzero((studies == study) & (labels == label))
        if label >= 0 and k:
            found[study, label] = float(strangers[here, : max(1, min(k, len(here) - 1))].mean())
    return found


def _labelled(
    query: NDArray, embedding: NDArray, labels: NDArray, *, voters: NDArray[np.bool_], n_labels: int, k: int
) -> NDArray[np.int64]:
    """Return the label of each query cell by its nearest voters, -1 without any."""
    rows = np.flatnonzero(voters)
    if not len(rows) or not len(query):
        return np.full(len(query), -1, dtype=np.int64)
    neighbors = nearest(query, embedding[rows], min(k, len(rows)))
    shares = vote(labels[rows][neighbors.indices], kernel_weights(neighbors.distances), n_labels)
    return np.asarray(shares.argmax(axis=1), dtype=np.int64)
