"""Compute reliability curves and the expected calibration error of label transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _limits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def reliability_curve(confidence: ArrayLike, correct: ArrayLike, *, n_bins: int = 15) -> pd.DataFrame:
    r"""Compare how sure predictions are with how often they are right.

    Parameters
    ----------
    confidence
        Probability of each cell's prediction, such as ``1 - obs["cell_type_uncertainty"]``, shape ``(n_cells,)``,
        between 0 and 1.
    correct
        Whether the prediction is right, boolean, shape ``(n_cells,)``. Leave out cells called unknown, and cells
        without a true label.
    n_bins
        Number of equally wide bins :math:`(\frac{m-1}{M}, \frac m M]` of the confidence.

    Returns
    -------
    pandas.DataFrame
        A row for each bin that holds cells: ``lower`` and ``upper`` bounds, ``n_cells``, mean ``confidence`` and
        ``accuracy``. ``attrs["calibration_error"]`` is the expected calibration error, the mean distance of the two
        over cells.

    Raises
    ------
    ValueError
        If the shapes differ, there is no cell, a confidence is missing or outside of 0 to 1, or there is no bin.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    Guo et al. 2017, On Calibration of Modern Neural Networks, eq. 2 and 3.
    """
    n_bins = check.whole("n_bins", n_bins, least=1, most=_limits.BINS)
    values, right = check.array("confidence", confidence), np.asarray(correct)
    if values.ndim != 1 or values.shape != right.shape or not len(values):
        message = (
            f"confidence and correct need one entry for each cell; their shapes are {values.shape} and {right.shape}"
        )
        raise ValueError(message)
    if right.dtype != bool:
        message = f"correct must be boolean, not {right.dtype}: compare predictions with labels"
        raise ValueError(message)
    if not ((values >= 0) & (values <= 1)).all():
        message = "confidence is missing or outside of 0 to 1 for some cells"
        raise ValueError(message)
    bins = bins_of(values, n_bins)
    n_cells = np.bincount(bins, minlength=n_bins)
    some = n_cells > 0
    edges = np.linspace(0, 1, n_bins + 1)
    curve = pd.DataFrame(
        {
            "lower": edges[:-1][some],
            "upper": edges[1:][some],
            "n_cells": n_cells[some],
            "confidence": np.bincount(bins, weights=values, minlength=n_bins)[some] / n_cells[some],
            "accuracy": np.bincount(bins, weights=right, minlength=n_bins)[some] / n_cells[some],
        }
    )
    curve.attrs["calibration_error"] = calibration_error(values, right, n_bins)
    return curve


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], n_bins: int = 15) -> float:
    """Return the expected calibration error, NaN if there is no cell or a confidence is missing."""
    if not len(confidence) or np.isnan(confidence).any():
        return float("nan")
    gaps = np.bincount(bins_of(confidence, n_bins), weights=correct - confidence)
    return float(np.abs(gaps).sum() / len(confidence))


def bins_of(confidence: NDArray[np.float64], n_bins: int) -> NDArray[np.int64]:
    """Return the bin of each cell, each open below and closed above."""
    return np.digitize(confidence, np.linspace(0, 1, n_bins + 1)[1:-1], right=True)
