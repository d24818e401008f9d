"""Draw cells of all labels and batches for a fit, and deal them into folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def even_sample(codes: NDArray, batches: NDArray, most: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Return at most ``most`` cells, as many of each label and batch as there are or as all others get.

    Parameters
    ----------
    codes, batches
        Labels and batches as whole numbers from 0, shape ``(n_cells,)``.
    most
        Number of cells; one of each label and batch is taken in any case.
    generator
        Draws the cells.

    Returns
    -------
    numpy.ndarray
        Positions, ascending.
    """
    groups = np.unique(codes * (int(batches.max(initial=0)) + 1) + batches, return_inverse=True)[1]
    if len(codes) <= most:
        return np.arange(len(codes))
    order = generator.permutation(len(codes))
    order = order[np.argsort(groups[order], kind="stable")]
    sizes = np.bincount(groups)
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < _even_share(sizes, most)])


def _even_share(sizes: NDArray, most: int) -> int:
    """Return the largest number of cells that every group may give at most, at least 1."""
    low, high = 1, int(sizes.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(sizes, middle).sum() <= most else (low, middle - 1)
    return low


def held_out_folds(
    batches: NDArray, most: int, parts: int, generator: np.random.Generator
) -> tuple[NDArray[np.intp], bool]:
    """Return which cells are held out together: those of a batch, or random parts where there is one batch.

    Parameters
    ----------
    batches
        Whole numbers from 0, shape ``(n_cells,)``.
    most
        Folds at most: beyond that, batches are held out several at a time.
    parts
        Number of parts of a single batch.
    generator
        Deals the cells of a single batch.

    Returns
    -------
    tuple
        Number of the fold of each cell, and whether folds are batches.
    """
    names, codes, sizes = np.unique(batches, return_inverse=True, return_counts=True)
    if len(names) == 1:
        return generator.integers(0, parts, len(batches)), False
    if len(names) <= most:
        return codes, True
    # from the largest batch on, each joins the fold that is smallest
    fold_of, filled = np.empty(len(names), dtype=np.intp), np.zeros(most)
    for batch in np.argsort(-sizes, kind="stable"):
        fold_of[batch] = filled.argmin()
        filled[fold_of[batch]] += sizes[batch]
    return fold_of[codes], True
