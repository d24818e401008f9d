"""Vote on labels of query cells among their nearest reference cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scarches_plus._neighbors import nearest

from ._checks import coded_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ReferenceVotes:
    """Labels that query cells get from their nearest reference cells.

    Parameters
    ----------
    names
        Labels of the reference.
    truth, predicted
        Of the query cells, shape ``(n_query,)``.
    uncertainty
        1 minus the share of a cell's neighbours that have the predicted label, shape ``(n_query,)``.
    """

    names: list[str]
    truth: NDArray
    predicted: NDArray
    uncertainty: NDArray

    @property
    def right(self) -> NDArray[np.float64]:
        """1 for query cells that get their label, 0 for others, NaN where the reference lacks it."""
        return np.where(np.isin(self.truth, self.names), self.predicted == self.truth, np.nan)


def votes_of_reference(embedding: NDArray, labels: NDArray, reference: NDArray[np.bool_], k: int) -> ReferenceVotes:
    """Give query cells the label that most of their `k` nearest reference cells have.

    Parameters
    ----------
    embedding
        Of cells that have a label, shape ``(n, d)``.
    labels
        Shape ``(n,)``.
    reference
        Which cells are of the reference, shape ``(n,)``; the others are the query.
    k
        Number of neighbours.
    """
    theirs, ours, labels = embedding[reference], embedding[~reference], labels.astype(str)
    codes, names = coded_batches(labels[reference], len(theirs), "labels")
    votes = np.zeros((len(ours), len(names)))
    indices = nearest(ours, theirs, k).indices
    np.add.at(votes, (np.arange(len(ours))[:, None], codes[indices]), 1 / k)
    best = votes.argmax(axis=1)
    uncertainty = np.clip(1 - votes[np.arange(len(ours)), best], 0, 1)
    return ReferenceVotes(names, labels[~reference], np.asarray(names)[best], uncertainty)
