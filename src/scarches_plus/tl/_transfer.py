"""Weighted k-nearest-neighbour votes: pure functions of scArches' label transfer (eq. 17-22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from scarches_plus._label_tree import LabelTree

Kernel = Literal["paper", "scarches", "gaussian"]
KERNELS: tuple[str, ...] = get_args(Kernel)
_CHUNK = 65_536


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
    indices: np.ndarray, weights: np.ndarray, codes: np.ndarray, n_labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's best label and its probability, in chunks of cells.

    Parameters
    ----------
    indices, weights
        Neighbours in the reference and their weights, shape ``(n_cells, k)``.
    codes
        Labels of the reference cells, -1 for none.
    n_labels
        Number of labels.

    Returns
    -------
    tuple
        Codes (-1 where no neighbour has a label) and probabilities, shape ``(n_cells,)``. Of equally probable labels
        the first is taken.
    """
    best = np.empty(len(indices), dtype=np.int64)
    probability = np.empty(len(indices))
    for start in range(0, len(indices), _CHUNK):
        rows = slice(start, start + _CHUNK)
        shares = vote(codes[indices[rows]], weights[rows], n_labels)
        best[rows] = shares.argmax(axis=1)
        probability[rows] = np.take_along_axis(shares, best[rows, None], axis=1).ravel()
    best[probability == 0] = -1
    return best, probability


def certain_labels(
    indices: np.ndarray, weights: np.ndarray, labels: pd.Categorical, tree: LabelTree, unknown_above: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's deepest label of a hierarchy that is certain enough and its probability, in chunks of cells.

    Parameters
    ----------
    indices, weights
        Neighbours in the reference and their weights, shape ``(n_cells, k)``.
    labels
        Labels of the reference cells, at any level of the hierarchy.
    tree
        Hierarchy.
    unknown_above
        Uncertainty above which a label is not given.

    Returns
    -------
    tuple
        Positions in ``tree.nodes`` (-1 for none) and probabilities, as :meth:`LabelTree.certain` gives them.
    """
    names = list(labels.categories)
    best = np.empty(len(indices), dtype=np.int64)
    probability = np.empty(len(indices))
    for start in range(0, len(indices), _CHUNK):
        rows = slice(start, start + _CHUNK)
        shares = vote(labels.codes[indices[rows]], weights[rows], len(names))
        best[rows], probability[rows] = tree.certain(tree.node_probabilities(shares, names), unknown_above)
    return best, probability
