"""Stack the vote of neighbours and the classifier of expression: learn what each counts, and join them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, softmax

from scarches_plus._neighbors import nearest
from scarches_plus._temperature import mean_loss
from scarches_plus.tl._votes._neighbor_votes import kernel_weights, vote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scarches_plus.tl._votes._neighbor_votes import Kernel

    from ._fit_classifier import HeldOut

#: Added to the shares of the vote: a label without neighbours is not impossible.
FLOOR = 0.02
#: The least logarithm of a probability of the classifier.
LEAST = -20.0
#: The vote counts at most so many times as much as the classifier: the latent space has seen the held-out batches.
_MOST = 0.7
#: Pull of the two parameters towards equal weights of half.
_PRIOR = 0.02


def held_out_votes(
    embedding: NDArray, codes: NDArray, batches: NDArray, held: HeldOut, *, n_labels: int, k: int, kernel: Kernel
) -> NDArray[np.float64]:
    """Return what cells of other folds vote for held-out cells, shape ``(n_held_out, n_labels)``."""
    shares = np.zeros((len(held.cells), n_labels))
    fold_of = np.full(len(codes), -1)
    fold_of[held.cells] = held.folds
    for fold in np.unique(held.folds):
        out = held.folds == fold
        own = np.isin(batches, batches[held.cells[out]]) if held.by_batch else fold_of == fold
        others = np.flatnonzero(~own)
        found = nearest(embedding[held.cells[out]], embedding[others], min(k, len(others)))
        shares[out] = vote(codes[others][found.indices], kernel_weights(found.distances, kernel), n_labels)
    return shares


def learn_stack(shares: NDArray, logs: NDArray, codes: NDArray) -> dict[str, Any]:
    """Return the sharpness and the weight of the vote under which held-out labels are most probable.

    And the share of held-out cells on whose label both agree.

    Parameters
    ----------
    shares
        Of the vote, shape ``(n_cells, n_labels)``.
    logs
        Logarithms of the classifier's probabilities, same shape.
    codes
        True labels, shape ``(n_cells,)``.
    """
    votes, logs = np.log(shares + FLOOR), np.maximum(logs, LEAST)

    def loss(at: NDArray) -> float:
        return mean_loss(np.exp(at[0]) * (logs + _MOST * expit(at[1]) * votes), codes) + _PRIOR * float(at @ at)

    found = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return {
        "sharpness": float(np.exp(found[0])),
        "weight": float(_MOST * expit(found[1])),
        "floor": FLOOR,
        "agreement": float((shares.argmax(axis=1) == logs.argmax(axis=1)).mean()),
    }


def stacked(shares: NDArray, probabilities: NDArray, *, sharpness: float, weight: float, floor: float) -> NDArray:
    """Return ``softmax(sharpness * (log probabilities + weight * log(shares + floor)))``.

    Where a cell has no count of the classifier's genes the vote stands alone, and where no neighbour has a label the
    classifier; rows of neither are 0.
    """
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(probabilities), LEAST)
    found = softmax(sharpness * (logs + weight * np.log(shares + floor)), axis=1)
    found[~(shares.any(axis=1) | probabilities.any(axis=1))] = 0
    return np.asarray(found)
