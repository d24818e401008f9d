"""Compute the entropy of batch mixing (EBM), averaged over cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense

from .batch_entropy import batch_entropy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def entropy_batch_mixing(
    embedding: ArrayLike,
    batches: ArrayLike,
    *,
    k: int = 15,
    n_cells: int | None = None,
    normalize: bool = False,
    rng: np.random.Generator | int | None = None,
    neighbors: ArrayLike | None = None,
) -> float:
    """Entropy of batch mixing (EBM): how well the batches mix around a cell, averaged over cells.

    The mean of :func:`batch_entropy`. At a fixed `k` it falls as the number of cells grows, so compare values of
    equally many cells only.

    Parameters
    ----------
    embedding
        Shape ``(n, d)``.
    batches
        Batch of every cell, shape ``(n,)``.
    k
        Number of nearest other cells. scArches prints 15, scANVI 50.
    n_cells
        Average over this many cells drawn with replacement, as the papers do with 100. ``None`` averages over every
        cell, which is the expectation of that estimate.
    normalize
        Divide by the logarithm of the number of batches, so that 1 is perfect mixing of equally large batches.
        scArches' code does, its text and scANVI do not.
    rng
        Random generator or seed of the draw.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least k)``, if they are known
        already, for instance for a sweep over `k`. Must not contain the cell itself.

    Returns
    -------
    Mean entropy: between 0 and the logarithm of the number of batches, or 1 if `normalize`.

    Raises
    ------
    ValueError
        If there is one batch only, `n_cells` is not positive, `batches` does not fit `embedding` or has missing values,
        `k` exceeds the other cells, or `neighbors` contains cells as neighbours of themselves.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    scArches (Lotfollahi et al. 2020), eq. 15 and 16; scANVI (Xu et al. 2019), Online Methods. Their released code
    averages 50 such draws, from at most 2,000 cells of each batch (scANVI).
    """
    k = check.whole("k", k, least=1)

    n_cells = None if n_cells is None else check.whole("n_cells", n_cells, least=1)
    check.flags(normalize=normalize)
    check.seed("rng", rng)
    cells = None
    if n_cells is not None:
        cells = np.random.default_rng(rng).integers(len(dense(embedding)), size=n_cells)
    entropies = batch_entropy(embedding, batches, k=k, normalize=normalize, cells=cells, neighbors=neighbors)
    return float(entropies.mean())
