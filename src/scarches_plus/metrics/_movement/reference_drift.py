"""Measure the drift of reference cells between two embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._neighbors import nearest_within
from scarches_plus.metrics._shared._checks import coded_batches

from .neighbor_preservation import neighbor_preservation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class ReferenceDrift:
    """Distances that reference cells moved between two embeddings.

    Parameters
    ----------
    moved
        Whether any coordinate differs at all.
    rmsd
        Root mean square displacement, in units of the embedding.
    relative_rmsd
        `rmsd` divided by the root mean square distance of the cells from their mean before.
    max_displacement
        Displacement of the cell that moved farthest, in units of the embedding.
    neighbor_preservation
        Mean Jaccard index of the neighbourhoods before and after. 1 where all cells moved together.
    displacement
        Displacement of every cell, shape ``(n,)``: group it by cell type to see which types are forgotten.
    label_agreement
        Share of cells to which their neighbours before and their neighbours after give the same label; ``None`` without
        labels.
    """

    moved: bool
    rmsd: float
    relative_rmsd: float
    max_displacement: float
    neighbor_preservation: float
    displacement: NDArray[np.float64] = field(repr=False)
    label_agreement: float | None = None


def reference_drift(
    before: ArrayLike, after: ArrayLike, labels: ArrayLike | None = None, *, k: int = 15
) -> ReferenceDrift:
    r"""Measure how far reference cells moved when the model was trained on.

    With :math:`z_c` and :math:`z'_c` the two positions of cell :math:`c` and :math:`\bar z` the mean before,
    :math:`\mathrm{rmsd}^2 = \frac 1 n \sum_c \|z'_c - z_c\|^2`, and the relative value is the ratio to
    :math:`\sqrt{\frac 1 n \sum_c \|z_c - \bar z\|^2}`.

    Parameters
    ----------
    before
        Embedding of the reference cells by the reference model, shape ``(n, d)``.
    after
        Embedding of the same cells, in the same order, by the model trained on; shape ``(n, d)``.
    labels
        Label of every cell, shape ``(n,)``. With them, each cell gets the label that most of its `k` nearest other
        cells have, before and after.
    k
        Number of neighbours, as in :func:`neighbor_preservation`.

    Returns
    -------
    Drift of the reference. Equal arrays give exactly 0 and a preservation of exactly 1.

    Raises
    ------
    ValueError
        If the shapes differ, a coordinate is not finite, or `k` exceeds the other cells.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    Whether the representation of the reference stays unchanged is the open question that CLCVAE (2022) names; it gives
    no measure of it.
    """
    k = check.whole("k", k, least=1)
    start, end = check.array("before", before), check.array("after", after)
    if start.shape != end.shape or start.ndim != 2:
        message = f"before and after must both have shape (cells, dimensions); they have {start.shape} and {end.shape}"
        raise ValueError(message)
    preserved = neighbor_preservation(end, start, k=k)

    displacement = np.linalg.norm(end - start, axis=1)
    rmsd = float(np.sqrt(np.mean(displacement**2)))
    spread = float(np.sqrt(((start - start.mean(axis=0)) ** 2).sum(axis=1).mean()))
    with np.errstate(divide="ignore"):
        relative = float(np.divide(rmsd, spread)) if rmsd else 0.0
    moved = not np.array_equal(start, end)
    return ReferenceDrift(
        moved=moved,
        rmsd=rmsd,
        relative_rmsd=relative,
        max_displacement=float(displacement.max()),
        neighbor_preservation=preserved if moved else 1.0,
        displacement=displacement,
        label_agreement=None if labels is None else _agreement(start, end, labels, k),
    )


def _agreement(start: NDArray[np.float64], end: NDArray[np.float64], labels: ArrayLike, k: int) -> float:
    codes, names = coded_batches(labels, len(start), "labels")
    votes = [majority(codes[nearest_within(one, k).indices], len(names)) for one in (start, end)]
    return float(np.mean(votes[0] == votes[1]))


def majority(codes: NDArray[np.int64], n_codes: int) -> NDArray[np.int64]:
    """Return the most frequent code of each row, of equally frequent ones the lowest.

    ``codes`` has shape ``(n, k)``.
    """
    rows = np.arange(len(codes))[:, np.newaxis]
    counts = np.bincount((rows * n_codes + codes).ravel(), minlength=len(codes) * n_codes)
    return counts.reshape(len(codes), n_codes).argmax(1)
