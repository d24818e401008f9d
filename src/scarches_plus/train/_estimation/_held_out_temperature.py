"""Fit the temperature of label summaries on held-out batches (temperature scaling)."""

from __future__ import annotations

import numpy as np

from scarches_plus._temperature import best_temperature

from ._fit_mixture import fit_mixture
from ._mixture_densities import mixture_densities

#: Batches are held out in so many parts at most.
_PARTS = 5
#: Cells of a label that take part, at most.
_MOST_CELLS = 1000
#: Held-out cells that it takes, at least.
_FEWEST = 50
_HOTTEST = 1000.0


def held_out_temperature(
    latent: np.ndarray,
    codes: np.ndarray,
    batches: np.ndarray,
    *,
    max_components: int,
    min_cells: int,
    regularization: float,
    seed: int,
) -> float | None:
    """Fit the temperature under which true labels of held-out batches are most probable.

    Batches are held out in turn, and mixtures are fitted to the others.

    Parameters
    ----------
    latent
        Shape ``(n_cells, n_latent)``.
    codes
        Labels, numbered from 0, shape ``(n_cells,)``.
    batches
        Batches, shape ``(n_cells,)``. More than five are held out in five parts; of a single one, random fifths.
    max_components, min_cells, regularization
        As in :func:`fit_mixture`.
    seed
        Of the draw of at most 1,000 cells of a label, of fifths, and of mixtures.

    Returns
    -------
    float or None
        ``None`` if there is one label, or fewer than 50 held-out cells have a label that the other batches describe.

    References
    ----------
    Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))
    of_label = [order[codes[order] == code][:_MOST_CELLS] for code in range(codes.max() + 1)]
    rows = np.sort(np.concatenate(of_label))
    latent, codes, folds = latent[rows], codes[rows], _folds(batches[rows], rng)
    scores = np.full((len(codes), len(of_label)), -np.inf)
    for fold in np.unique(folds):
        held, others = folds == fold, folds != fold
        sizes = np.bincount(codes[others], minlength=len(of_label))
        described = np.flatnonzero(sizes >= min_cells)
        if not len(described):
            continue
        fitted = [
            fit_mixture(
                latent[others & (codes == code)],
                max_components=max_components,
                min_cells=min_cells,
                regularization=regularization,
                seed=seed,
            )
            for code in described
        ]
        means, covariances = (np.concatenate([one[part] for one in fitted]) for part in (0, 1))
        n_cells = np.concatenate([one[2].sum(axis=0) for one in fitted])
        of_component = np.repeat(np.arange(len(described)), [len(one[0]) for one in fitted])
        densities = mixture_densities(latent[held], means, covariances, n_cells=n_cells, of_label=of_component)
        scores[np.ix_(held, described)] = densities + np.log(sizes[described])
    told = np.isfinite(scores[np.arange(len(codes)), codes])
    if len(of_label) < 2 or told.sum() < _FEWEST:
        return None
    return best_temperature(scores[told], codes[told], hottest=_HOTTEST)


def _folds(batches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which cells are held out together."""
    _, codes, sizes = np.unique(batches, return_inverse=True, return_counts=True)
    if len(sizes) == 1:
        return rng.integers(0, _PARTS, len(batches))
    ranks = np.argsort(np.argsort(-sizes, kind="stable"))
    return (ranks % _PARTS)[codes]  # type: ignore[no-any-return]
