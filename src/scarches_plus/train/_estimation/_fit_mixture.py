"""Fit Gaussian mixtures whose components each stand for enough cells."""

from __future__ import annotations

import numpy as np
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits


def fit_mixture(
    latent: np.ndarray, *, max_components: int, min_cells: int, regularization: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the Gaussian mixture of smallest BIC, among those with full and with diagonal covariances.

    Parameters
    ----------
    latent
        Shape ``(n_cells, n_latent)``, at least ``min_cells`` of them.
    max_components
        Largest number of components.
    min_cells
        Smallest number of cells (sum of responsibilities) that a component may stand for.
    regularization
        Added to variances.
    seed
        Of the start.

    Returns
    -------
    tuple
        Means, covariances, and responsibilities of shape ``(n_cells, n_components)``.
    """
    best, smallest = None, np.inf
    with threadpool_limits(1):
        for n in range(1, max(1, min(max_components, len(latent) // min_cells)) + 1):
            for kind in ("full", "diag"):
                model = GaussianMixture(
                    n, covariance_type=kind, reg_covar=regularization, random_state=seed, max_iter=200, tol=1e-2
                ).fit(latent)
                shares = model.predict_proba(latent)
                if shares.sum(0).min() >= min_cells and (bic := model.bic(latent)) < smallest:
                    covariances = model.covariances_
                    if kind == "diag":
                        covariances = np.stack([np.diag(one) for one in covariances])
                    best, smallest = (model.means_, covariances, shares), bic
    if best is None:
        message = f"{len(latent)} cells are fewer than min_cells={min_cells}"
        raise ValueError(message)
    return best
