"""Compute Welch's t-test from sums.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Variance relative to the mean square below which it is rounding error.
_ROUNDING = 1e-12


def mean_and_variance(
    sums: NDArray[np.float64], squares: NDArray[np.float64], n_cells: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and unbiased variances of groups from sums and sums of squares.

    Parameters
    ----------
    sums, squares
        Shape ``(n_groups, n_genes)``.
    n_cells
        Cells of every group, shape ``(n_groups,)``. The variance of fewer than two is NaN.
    """
    n = np.asarray(n_cells, dtype=np.float64)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, mean_square = sums / n, squares / n
        variance = np.maximum(mean_square - mean**2, 0.0)
        variance[variance <= _ROUNDING * mean_square] = 0.0
        return mean, np.where(n > 1, variance * n / (n - 1), np.nan)


def welch(
    first: tuple[NDArray, NDArray, NDArray], second: tuple[NDArray, NDArray, NDArray]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Welch's t and its two-sided p-value; 0 and 1 where both variances are zero.

    Parameters
    ----------
    first, second
        Mean, unbiased variance and number of cells, broadcast against each other.
    """
    (mean_1, variance_1, n_1), (mean_2, variance_2, n_2) = first, second
    with np.errstate(invalid="ignore", divide="ignore"):
        error_1, error_2 = variance_1 / n_1, variance_2 / n_2
        error = error_1 + error_2
        t = np.where(error > 0, (mean_1 - mean_2) / np.sqrt(error), 0.0)
        freedom = error**2 / (error_1**2 / (n_1 - 1) + error_2**2 / (n_2 - 1))
        p = np.where(error > 0, 2 * stdtr(freedom, -np.abs(t)), 1.0)
    return t, p
