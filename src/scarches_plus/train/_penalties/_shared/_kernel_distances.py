"""Compute squared MMD between groups of cells as one sum over a kernel matrix."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

#: Below this, three terms of its series are the exponential to single precision.
_SMALL = 0.01
#: Above this, double precision holds a 0 for the exponential.
_LARGE = 750.0


def pair_coefficients(groups: Tensor, pairs: Tensor, *, unbiased: bool = False) -> Tensor:
    r"""Return the coefficients by which kernel values sum to the discrepancies of pairs of groups.

    The matrix :math:`C` makes them :math:`\sum_{ab} C_{ab} k(x_a, x_b)`.

    Parameters
    ----------
    groups
        Group of each cell, codes from 0, shape ``(n_cells,)``.
    pairs
        Weight of each pair of groups, symmetric with zeros on its diagonal, shape ``(n_groups, n_groups)``. An
        unordered pair counts once. Groups without cells must have zeros only, and so must groups of one cell if
        ``unbiased``.
    unbiased
        Leave out pairs of a cell with itself (U-statistic), instead of eq. 11 of scArches (V-statistic).

    Returns
    -------
    Tensor
        Shape ``(n_cells, n_cells)``, symmetric.
    """
    sizes = torch.bincount(groups, minlength=len(pairs)).to(pairs.dtype)
    others = (sizes - 1 if unbiased else sizes).clamp(min=1)
    sizes = sizes.clamp(min=1)
    of_groups = -pairs / sizes / sizes[:, None]
    of_groups.diagonal().copy_(pairs.sum(1) / sizes / others)
    coefficients = of_groups.index_select(0, groups).index_select(1, groups)
    return coefficients.fill_diagonal_(0) if unbiased else coefficients


class KernelSum(torch.autograd.Function):
    r"""Compute a weighted sum over kernels and its gradient in one pass.

    The sum is :math:`\sum_{ab} C_{ab} \sum_l \exp(-\gamma_l \|x_a - x_b\|^2)`.

    Autograd would keep the matrices of every kernel; the derivative needs no more than their weighted sum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, gammas: Sequence[float]) -> Tensor:
        """Return the sum; ``x`` has shape ``(n_cells, n_dims)``, ``coefficients`` is symmetric."""
        above = above_diagonal(len(x), x.device)
        kernels, slopes = kernel_sum(squared_distances(x).view(-1).index_select(0, above), gammas)
        weights = coefficients.view(-1).index_select(0, above)
        pull = torch.zeros_like(coefficients)
        pull.view(-1).index_copy_(0, above, slopes * weights)
        ctx.save_for_backward(x, pull + pull.T)
        return 2 * torch.dot(kernels, weights) + len(gammas) * coefficients.trace()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        """Return the gradient with respect to ``x``."""
        x, slopes = ctx.saved_tensors
        return gradient * 4 * (slopes.sum(1, keepdim=True) * x - slopes @ x), None, None


def kernel_sum(distances: Tensor, gammas: Sequence[float]) -> tuple[Tensor, Tensor]:
    r"""Return the sum of Gaussian kernels and its derivative for squared distances.

    The sum is :math:`\sum_l \exp(-\gamma_l d)`. Both have the precision of the numbers.

    Of the released bandwidths, which span twelve orders of magnitude, most are far too wide or too narrow for any one
    minibatch: narrow ones are 0 at every distance, and wide ones are a polynomial together.
    """
    kernels, slopes = torch.zeros_like(distances), torch.zeros_like(distances)
    if not len(distances):
        return kernels, slopes
    nearest, farthest = (float(d) for d in torch.aminmax(distances))
    wide = [gamma for gamma in gammas if gamma * farthest < _SMALL]
    if wide:  # exp(-t) = 1 - t + t^2 / 2 - t^3 / 6
        first, second, third = (sum(gamma**power for gamma in wide) for power in (1, 2, 3))
        kernels = len(wide) + distances * (-first + distances * (second / 2 - distances * (third / 6)))
        slopes = -first + distances * (second - distances * (third / 2))
    others = [-gamma for gamma in gammas if gamma * farthest >= _SMALL and gamma * nearest < _LARGE]
    if others:
        factors = distances.new_tensor([[1.0] * len(others), others])
        sums = factors @ torch.outer(factors[1], distances).exp_()
        kernels, slopes = kernels + sums[0], slopes + sums[1]
    return kernels, slopes


@lru_cache(maxsize=8)
def above_diagonal(n_rows: int, device: torch.device) -> Tensor:
    """Return the positions above the diagonal of a square matrix, flattened."""
    one, other = torch.triu_indices(n_rows, n_rows, 1, device=device)
    return one * n_rows + other


def squared_distances(x: Tensor) -> Tensor:
    """Return squared Euclidean distances between rows, shape ``(n_rows, n_rows)``; exactly 0 on the diagonal."""
    centred = x - x.mean(0)  # the difference of large numbers would lose what small bandwidths look at
    squares = centred.square().sum(1)
    distances = torch.addmm(squares[:, None] + squares, centred, centred.T, alpha=-2).clamp_(min=0)
    return distances.fill_diagonal_(0)
