"""Compute weighted kNN votes for label transfer (scArches, eq. 17-22).

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scarches_plus._label_tree import LabelTree

Kernel = Literal["paper", "scarches", "gaussian"]
KERNELS: tuple[str, ...] = get_args(Kernel)
_CHUNK = 65_536
#: Prototypes by whose distances the others are measured.
_NEAREST = 5


def kernel_weights(distances: np.ndarray, kernel: Kernel = "paper") -> np.ndarray:
    """Return the weight of every neighbour's vote.

    With ``d`` the distances of one cell to its ``k`` neighbours and ``s`` their spread,

    - ``"paper"``: ``exp(-d / (2 / s)^2)`` with ``s = sqrt(sum(d^2) / k)``;
    - ``"scarches"``: the same with the standard deviation about the mean, as scarches 0.6 computes it. All neighbours
      then weigh nearly the same;
    - ``"gaussian"``: ``exp(-(d / s)^2 / 2)`` with the paper's ``s``, which does not depend on the scale of the space.

    Parameters
    ----------
    distances
        Shape ``(n_cells, k)``.
    kernel
        Name of the kernel.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_cells, k)``, in (0, 1], not normalised. 1 where all neighbours coincide with the cell.

    Raises
    ------
    ValueError
        If there is no such kernel.

    References
    ----------
    Lotfollahi et al. 2021 (scArches), eq. 17-19.
    """
    if kernel not in KERNELS:
        message = f"kernel must be one of {KERNELS}, not {kernel!r}"
        raise ValueError(message)
    if kernel == "scarches":
        spread = distances.std(axis=1, keepdims=True)
    else:
        spread = np.sqrt(np.mean(distances**2, axis=1, keepdims=True))
    if kernel == "gaussian":
        exponent = 0.5 * np.divide(distances, spread, out=np.zeros_like(distances), where=spread > 0) ** 2
    else:
        exponent = distances * (spread / 2) ** 2
    # relative to the nearest neighbour, so that far cells do not lose all their votes to underflow
    return np.exp(exponent.min(axis=1, keepdims=True) - exponent)


def prototype_weights(distances: np.ndarray, n_cells: np.ndarray, n_dimensions: int) -> np.ndarray:
    """Return the weight of prototypes that stand for many cells each.

    With ``d`` the distances of a cell to its nearest prototypes, ``n`` their numbers of cells and ``m^2`` the mean of
    ``d^2`` over the five nearest, ``n * exp(-n_dimensions / 2 * d^2 / m^2)``: Bayes' rule over spherical Gaussians that
    are as wide as the cell is far from them, so that a shift of the query widens them.

    Parameters
    ----------
    distances, n_cells
        Of the nearest prototypes, nearest first, shape ``(n_query, k)``.
    n_dimensions
        Of the latent space.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_query, k)``, not normalised.
    """
    width = np.mean(distances[:, :_NEAREST] ** 2, axis=1, keepdims=True)
    exponent = 0.5 * n_dimensions * np.divide(distances**2, width, out=np.zeros_like(distances), where=width > 0)
    return n_cells * np.exp(exponent.min(axis=1, keepdims=True) - exponent)


def vote(codes: np.ndarray, weights: np.ndarray, n_labels: int) -> np.ndarray:
    """Return label probabilities from the neighbours' labels.

    Parameters
    ----------
    codes
        Labels of the neighbours, shape ``(n_cells, k)``; -1 has no vote.
    weights
        Shape ``(n_cells, k)``.
    n_labels
        Number of labels.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_cells, n_labels)``; rows sum to 1, or to 0 where no neighbour has a label.

    References
    ----------
    Lotfollahi et al. 2021 (scArches), eq. 20.
    """
    n_cells = len(codes)
    # one column more takes the votes of neighbours without a label
    flat = np.arange(n_cells)[:, None] * (n_labels + 1) + np.where(codes < 0, n_labels, codes)
    votes = np.bincount(flat.ravel(), weights.ravel(), minlength=n_cells * (n_labels + 1))
    votes = votes.reshape(n_cells, n_labels + 1)[:, :n_labels]
    total = votes.sum(axis=1, keepdims=True)
    return np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)


def best_labels(
    shares_of: Callable[[slice], np.ndarray],
    n_cells: int,
    labels: Sequence[str],
    *,
    tree: LabelTree | None = None,
    unknown_above: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's best label and its probability, in chunks of cells.

    Parameters
    ----------
    shares_of
        Gives the probabilities of the labels for a slice of cells, shape ``(n, n_labels)``; rows sum to 1, or to 0.
    n_cells
        Number of cells.
    labels
        Names of the labels.
    tree
        Hierarchy, in which labels may stand at any level; the best label is then the deepest one that is certain
        enough.
    unknown_above
        Uncertainty above which no label is given; ``None`` never rejects.

    Returns
    -------
    tuple
        Positions in ``labels``, or in ``tree.nodes`` (-1 for none), and probabilities, shape ``(n_cells,)``: with a
        tree as :meth:`LabelTree.certain` gives them. Of equally probable labels the first is taken.
    """
    highest = 1.0 if unknown_above is None else unknown_above
    best = np.empty(n_cells, dtype=np.int64)
    probability = np.empty(n_cells)
    for start in range(0, n_cells, _CHUNK):
        rows = slice(start, start + _CHUNK)
        shares = shares_of(rows)
        if tree is None:
            best[rows] = shares.argmax(axis=1)
            probability[rows] = np.take_along_axis(shares, best[rows, None], axis=1).ravel()
        else:
            best[rows], probability[rows] = tree.certain(tree.node_probabilities(shares, labels), highest)
    best[(probability == 0) | (1.0 - probability > highest)] = -1
    return best, probability
