"""Squared maximum mean discrepancies between groups of cells, as one sum over a kernel matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def pair_coefficients(groups: Tensor, pairs: Tensor, *, unbiased: bool = False) -> Tensor:
    r"""Return the matrix :math:`C` for which the discrepancies of pairs of groups sum to :math:`\sum_{ab} C_{ab} k(x_a, x_b)`.

    Parameters
    ----------
    groups
        Group of each cell, codes from 0, shape ``(n_cells,)``.
    pairs
        Weight of each pair of groups, symmetric with zeros on its diagonal, shape ``(n_groups, n_groups)``. An unordered
        pair counts once. Groups without cells must have zeros only, and so must groups of one cell if ``unbiased``.
    unbiased
        Leave out pairs of a cell with itself (U-statistic), instead of eq. 11 of scArches (V-statistic).

    Returns
    -------
    Tensor
        Shape ``(n_cells, n_cells)``, symmetric.
    """
    sizes = torch.bincount(groups, minlength=len(pairs)).to(pairs.dtype)
    share = (1 / sizes)[groups]
    coefficients = -pairs[groups][:, groups] * share[:, None] * share
    same = groups[:, None] == groups
    others = (sizes - 1 if unbiased else sizes)[groups]
    within = pairs.sum(1)[groups] * share / others
    coefficients = torch.where(same, within[:, None], coefficients)
    if unbiased:
        coefficients.fill_diagonal_(0)
    return torch.where(torch.isfinite(coefficients), coefficients, 0.0)


class KernelSum(torch.autograd.Function):
    r"""Compute :math:`\sum_{ab} C_{ab} \sum_l \exp(-\gamma_l \|x_a - x_b\|^2)` and its gradient in one pass over the kernels.

    Autograd would keep the matrices of every kernel; the derivative needs no more than their weighted sum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, gammas: Sequence[float]) -> Tensor:
        """Return the sum; ``x`` has shape ``(n_cells, n_dims)``, ``coefficients`` is symmetric."""
        distances = squared_distances(x)
        kernels = torch.zeros_like(distances)
        slopes = torch.zeros_like(distances)
        term = torch.empty_like(distances)
        for gamma in gammas:
            torch.mul(distances, -gamma, out=term).exp_()
            kernels += term
            slopes.add_(term, alpha=-gamma)
        ctx.save_for_backward(x, slopes.mul_(coefficients))
        return torch.dot(kernels.flatten(), coefficients.flatten())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        """Return the gradient with respect to ``x``."""
        x, slopes = ctx.saved_tensors
        return gradient * 4 * (slopes.sum(1, keepdim=True) * x - slopes @ x), None, None


def squared_distances(x: Tensor) -> Tensor:
    """Return squared Euclidean distances between rows, shape ``(n_rows, n_rows)``; exactly 0 on the diagonal."""
    centred = x - x.mean(0)  # the difference of large numbers would lose what small bandwidths look at
    squares = centred.square().sum(1)
    distances = torch.addmm(squares[:, None] + squares, centred, centred.T, alpha=-2).clamp_(min=0)
    return distances.fill_diagonal_(0)
