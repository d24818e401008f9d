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
    back
        The other way round, cells of the others by the study that votes, own label and the study's label: ``study``,
        ``label``, ``by_study``, ``n_cells``.
    """

    by_others: NDArray[np.int64]
    counts: pd.DataFrame
    back: pd.DataFrame


def leave_out(embedding: NDArray, studies: NDArray, labels: NDArray, n_labels: int, k: int) -> LeftOut:
    """Let the nearest cells of all other studies label each study, and each study all others.

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
    back = []
    for study in np.unique(studies):
        here = studies == study
        by_others[here] = _labelled(
            embedding[here], embedding, labels, voters=~here & (labels >= 0), n_labels=n_labels, k=k
        )
        others = ~here & (labels >= 0)
        by_study = _labelled(embedding[others], embedding, labels, voters=here & (labels >= 0), n_labels=n_labels, k=k)
        part = pd.DataFrame({"study": study, "label": labels[others], "by_study": by_study})
        back.append(part.value_counts(sort=False).rename("n_cells").reset_index())
    counts = pd.DataFrame({"study": studies, "label": labels, "by_others": by_others})
    return LeftOut(
        by_others, counts.value_counts(sort=False).rename("n_cells").reset_index(), pd.concat(back, ignore_index=True)
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


def strangers_around(embedding: NDArray, studies: NDArray, labels: NDArray, k: int) -> pd.DataFrame:
    """Return what lies around the cells of labels that one study alone has.

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
    DataFrame
        For each such label: ``label``, ``study``, ``n_cells``; ``strangers``, the share of the nearest cells that are
        of other studies; ``among``, their most frequent label, -1 for none.
    """
    cells = pd.DataFrame({"study": studies, "label": labels})
    own = cells[cells["label"] >= 0].groupby("label")["study"].agg(["nunique", "first", "size"])
    rows = []
    for label, (_, study, size) in own[own["nunique"] == 1].iterrows():
        here = np.flatnonzero(labels == label)
        n = min(k, max(1, size - 1), len(labels) - 1)
        around = nearest(embedding[here], embedding, n + 1).indices
        around = around[around != here[:, np.newaxis]]  # not the cell itself
        strangers = around[studies[around] != study]
        known = labels[strangers][labels[strangers] >= 0]
        among = int(np.bincount(known).argmax()) if len(known) else -1
        rows.append((label, study, size, len(strangers) / len(around), among))
    return pd.DataFrame(rows, columns=["label", "study", "n_cells", "strangers", "among"])


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
