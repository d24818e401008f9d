"""Scale proteins by subtracting a background fitted with two Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus.metrics._shared._protein_input import checked_proteins

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def scale_proteins(counts: ArrayLike, *, seed: int = 0) -> NDArray[np.float64]:
    r"""Subtract the background of every protein, so that cells that lack it are at 0.

    A mixture of two Gaussians with means :math:`\mu_1, \mu_2` is fitted to each protein and its values mapped to
    :math:`(x - \frac{\mu_1 + \mu_2}{2})_+`.

    Parameters
    ----------
    counts
        Protein counts or transformed counts, cells in rows, dense or sparse, shape ``(n, n_proteins)``.
    seed
        Seed of the start of the fit.

    Returns
    -------
    Scaled proteins, shape ``(n, n_proteins)``. A protein with the same value in all cells is 0.

    Raises
    ------
    ValueError
        If `counts` is not a matrix of at least 2 cells or has missing or infinite values.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    The paper speaks of counts; the tables that its released scripts read are of centred log-ratios.

    References
    ----------
    scANVI (Xu et al. 2019), Online Methods, "Normalization of CITE-seq data".
    """
    from sklearn.mixture import GaussianMixture

    check.seed("seed", seed, generator=False)
    values = checked_proteins(counts, name="counts")
    scaled = np.zeros_like(values)
    for column in np.flatnonzero(np.ptp(values, axis=0) > 0):
        protein = values[:, [column]]
        mixture = GaussianMixture(2, max_iter=1000, random_state=seed).fit(protein)
        scaled[:, column] = np.maximum(protein.ravel() - mixture.means_.mean(), 0)
    return scaled
