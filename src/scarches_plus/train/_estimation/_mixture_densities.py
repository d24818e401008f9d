"""Compute densities of Gaussian mixtures, one for each label."""

from __future__ import annotations

import numpy as np
import torch


def mixture_densities(
    latent: np.ndarray, means: np.ndarray, covariances: np.ndarray, *, n_cells: np.ndarray, of_label: np.ndarray
) -> np.ndarray:
    r"""Return the logarithm of each label's density, :math:`\log p(z \mid label)`.

    Parameters
    ----------
    latent
        Shape ``(n_cells, n_latent)``.
    means, covariances
        Of components, shapes ``(n_components, n_latent)`` and ``(n_components, n_latent, n_latent)``.
    n_cells
        Number of cells that each component stands for, shape ``(n_components,)``.
    of_label
        Label that each component belongs to, numbered from 0, shape ``(n_components,)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_cells, n_labels)``, of 64 bits.
    """
    z = torch.as_tensor(latent, dtype=torch.float64)
    n_labels = int(of_label.max()) + 1
    shares = np.log(n_cells / np.bincount(of_label, n_cells, n_labels)[of_label])
    densities = torch.full((len(z), n_labels), -torch.inf, dtype=torch.float64)
    factors = torch.linalg.cholesky(torch.as_tensor(covariances, dtype=torch.float64))
    constant = -0.5 * z.shape[1] * np.log(2 * np.pi)
    for k, label in enumerate(of_label.tolist()):
        from_mean = z - torch.as_tensor(means[k], dtype=torch.float64)
        scaled = torch.linalg.solve_triangular(factors[k], from_mean.T, upper=False)
        log_density = constant - factors[k].diagonal().log().sum() - 0.5 * scaled.square().sum(0)
        densities[:, label] = torch.logaddexp(densities[:, label], shares[k] + log_density)
    return densities.numpy()  # type: ignore[no-any-return]
