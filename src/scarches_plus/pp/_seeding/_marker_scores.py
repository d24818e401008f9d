"""Score cells by the marker genes of each label, and pick seeds.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Sum that counts of a cell are scaled to.
_TARGET = 1e4


def signature_scores(counts: NDArray, totals: NDArray, signs: NDArray) -> NDArray[np.float64]:
    """Return how well the markers of each label agree with each cell.

    Counts are divided by the cell's total, ``log(1 + 1e4 x)`` is taken and each gene z-scored over the cells
    (population standard deviation; a gene that does not vary scores 0). A label's score is the mean over its markers,
    those that speak against it with a minus sign.

    Parameters
    ----------
    counts
        Raw counts of the markers, shape ``(n_cells, n_markers)``.
    totals
        Counts of all genes of a cell, shape ``(n_cells,)``.
    signs
        1 for a marker of the label, -1 for a marker against it, else 0; shape ``(n_markers, n_labels)``, each label
        with at least one.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_cells, n_labels)``. Cells with equal counts and totals have equal scores, to the last bit.

    References
    ----------
    Xu et al. 2021 (scANVI), "Signature calculus".
    """
    shares = np.divide(counts, totals[:, None], out=np.zeros(counts.shape), where=totals[:, None] > 0)
    expression = np.log1p(_TARGET * shares)
    centred = expression - expression.mean(axis=0)
    spread = expression.std(axis=0)
    varies = np.ptp(expression, axis=0) > 0  # of a constant gene the spread is rounding error
    z = np.divide(centred, spread, out=np.zeros_like(centred), where=varies)
    scores = np.zeros((len(counts), signs.shape[1]))
    for marker, label in zip(*np.nonzero(signs), strict=True):  # a matrix product would round equal rows differently
        scores[:, label] += signs[marker, label] * z[:, marker]
    return scores / np.abs(signs).sum(axis=0)


def pick_seeds(scores: NDArray, n_seeds: int) -> NDArray[np.int64]:
    """Return the cells that score highest for each label.

    A cell among the best of several labels goes to the one it scores highest for, and the others take their next best
    instead; one that scores equally for two labels goes to neither. Cells that tie for the last places of a label are
    all left out, because nothing tells them apart: the label then has fewer seeds.

    Parameters
    ----------
    scores
        Shape ``(n_cells, n_labels)``.
    n_seeds
        Seeds of each label at most.

    Returns
    -------
    numpy.ndarray
        Label of each cell, -1 for none, shape ``(n_cells,)``.
    """
    open_to = np.array(scores, dtype=np.float64)
    while True:
        chosen = _best(open_to, n_seeds)
        disputed = np.flatnonzero(chosen.sum(axis=1) > 1)
        if not len(disputed):
            return np.where(chosen.any(axis=1), chosen.argmax(axis=1), -1)
        claims = np.where(chosen[disputed], open_to[disputed], -np.inf)
        highest = claims == claims.max(axis=1, keepdims=True)
        wins = highest & (highest.sum(axis=1, keepdims=True) == 1)
        open_to[disputed] = np.where(chosen[disputed] & ~wins, -np.inf, open_to[disputed])


def _best(scores: NDArray, n: int) -> NDArray[np.bool_]:
    """Return which cells are among the best ``n`` of each label, those apart that tie with cells that are not."""
    n_cells = len(scores)
    cut = np.full(scores.shape[1], -np.inf)
    if n < n_cells:
        cut = -np.partition(-scores, n, axis=0)[n]  # the best score that is left out
    return scores > cut
