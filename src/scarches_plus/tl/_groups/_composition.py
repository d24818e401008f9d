"""Draw compositions of cells from the probabilities of their labels.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draw_counts(
    posterior: NDArray, samples: NDArray, n_samples: int, n_draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the label of every cell, and count.

    Parameters
    ----------
    posterior
        Probabilities of labels, shape ``(n_cells, n_labels)``, rows sum to 1. Cells are independent of each other.
    samples
        Sample of each cell, shape ``(n_cells,)``.
    n_samples, n_draws
        Shape of the result.
    rng
        Generator.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_draws, n_samples, n_labels)``.
    """
    n_labels = posterior.shape[1]
    certain = posterior.max(axis=1) >= 1.0
    where = samples * n_labels
    size = n_samples * n_labels
    fixed = np.bincount(where[certain] + posterior[certain].argmax(axis=1), minlength=size)
    counts = np.tile(fixed.astype(np.float64), (n_draws, 1))
    if certain.all():
        return counts.reshape(n_draws, n_samples, n_labels)
    where = where[~certain]
    rows = np.arange(len(where))
    # the steps of all cells on one line, cell after cell, so that one search draws all labels
    steps = (rows[:, None] + _cumulative(posterior[~certain])).ravel()
    for i in range(n_draws):
        found = np.searchsorted(steps, rows + rng.random(len(rows)), side="right") - rows * n_labels
        counts[i] += np.bincount(where + np.minimum(found, n_labels - 1), minlength=size)
    return counts.reshape(n_draws, n_samples, n_labels)


def _cumulative(posterior: NDArray) -> NDArray[np.float64]:
    cumulative = np.cumsum(posterior, axis=1, dtype=np.float64)
    return np.divide(cumulative, cumulative[:, -1:])


def draw_compositions(counts: NDArray, prior: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the composition that cells of one sample come from.

    The composition is Dirichlet with ``counts + prior``.

    Parameters
    ----------
    counts
        Shape ``(n_draws, n_labels)``; one composition is drawn for each.
    prior
        Cells added to each label.
    rng
        Generator.
    """
    gamma = rng.standard_gamma(counts + prior)
    return gamma / gamma.sum(axis=1, keepdims=True)


def draw_centers(counts: NDArray, prior: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the composition that samples vary around: their geometric mean, closed to sum to 1.

    Log proportions of the samples (centred log ratios) are normal around those of the center. Given the counts, the
    center's are Student's t with ``n_samples - 1`` degrees of freedom around the samples' mean, the scale being the
    samples' own spread, which holds the sampling of cells as well.

    Parameters
    ----------
    counts
        Shape ``(n_draws, n_samples, n_labels)``, at least two samples; one center is drawn for each draw.
    prior
        Cells added to each label of each sample.
    rng
        Generator.

    References
    ----------
    Aitchison 1986, The Statistical Analysis of Compositional Data.
    """
    n_draws, n_samples, _ = counts.shape
    logs = np.log(counts + prior)
    logs -= logs.mean(axis=2, keepdims=True)
    mean = logs.mean(axis=1, keepdims=True)
    freedom = n_samples - 1
    normal = rng.standard_normal((n_draws, n_samples, 1))
    scale = np.sqrt(rng.chisquare(freedom, (n_draws, 1)) * n_samples)
    draws = mean[:, 0] + ((logs - mean) * normal).sum(axis=1) / scale
    draws = np.exp(draws - draws.max(axis=1, keepdims=True))
    draws = np.maximum(draws, np.finfo(float).tiny)  # the tails of two samples go beyond what a float holds
    return draws / draws.sum(axis=1, keepdims=True)
