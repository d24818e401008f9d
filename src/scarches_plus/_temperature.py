"""Fit temperatures of label probabilities (temperature scaling; Guo et al. 2017, section 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_loss(scores: NDArray[np.floating], codes: NDArray[np.integer]) -> float:
    """Return the mean negative log-probability of true labels.

    Parameters
    ----------
    scores
        Logarithms of probabilities up to a constant of each cell, shape ``(n_cells, n_labels)``.
    codes
        True labels, shape ``(n_cells,)``.
    """
    return float(-log_softmax(scores, axis=1)[np.arange(len(codes)), codes].mean())


def best_temperature(
    scores: NDArray[np.floating], codes: NDArray[np.integer], *, hottest: float, coldest: float = 1.0
) -> float:
    """Return the temperature from ``coldest`` to ``hottest`` under which true labels are most probable."""

    def loss(log_temperature: float) -> float:
        return mean_loss(scores / np.exp(log_temperature), codes)

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(coldest), np.log(hottest)), method="bounded").x))
