"""Compute the log-probability of counts (NB, ZINB) with a closed-form gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from ._count_slopes import EPS, LARGEST_LOGIT
from ._log_gamma import log_gamma_and_slope

if TYPE_CHECKING:
    from torch import Tensor


def count_log_prob(counts: Tensor, mean: Tensor, dispersion: Tensor, zero_logits: Tensor | None = None) -> Tensor:
    r"""Return the log-probability of each count under NB or ZINB, differentiable in the parameters.

    The same function as that of :class:`scvi.distributions.NegativeBinomial` and
    :class:`scvi.distributions.ZeroInflatedNegativeBinomial`, small constants included. Every entry is treated as the
    zero that most entries are; what a count adds, log-gamma functions above all, is worked out where there is one.
    Gradients come along with the values, without a graph.

    Parameters
    ----------
    counts
        Numbers from zero, shape ``(n_cells, n_genes)``.
    mean, dispersion
        :math:`\mu` and inverse dispersion :math:`\theta`, not negative, same shape. Work is saved where ``dispersion``
        is one row expanded to all cells.
    zero_logits
        Logits of zero inflation, same shape; ``None`` for NB.

    Returns
    -------
    Tensor
        In nats, same shape.
    """
    return _CountLogProb.apply(counts, mean, dispersion, zero_logits)  # type: ignore[no-untyped-call, no-any-return]


class _CountLogProb(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mu: Tensor, theta: Tensor, pi: Tensor | None) -> Tensor:
        x, mu = x.contiguous(), mu.contiguous()
        where = above_zero(x)

        def pick(matrix: Tensor) -> Tensor:
            return matrix.reshape(-1).index_select(0, where)

        def add(matrix: Tensor, values: Tensor) -> Tensor:
            matrix.view(-1).index_add_(0, where, values)
            return matrix

        shared = theta.stride(0) == 0
        row = theta[:1] if shared else theta
        total = (mu + theta).add_(EPS)
        log_total = total.log()
        log_share = torch.log(row + EPS) - log_total
        value = theta * log_share  # of a zero
        count, mu_at, total_at = pick(x), pick(mu).add_(EPS), pick(total)
        if shared:
            low, low_slope = (pick(part.expand_as(x)) for part in log_gamma_and_slope(row))
        else:
            low, low_slope = log_gamma_and_slope(pick(theta))
        high, high_slope = log_gamma_and_slope(pick(theta).add_(count))
        more = torch.log(mu_at).sub_(pick(log_total)).mul_(count).add_(high).sub_(low).sub_(torch.lgamma(count + 1))
        if pi is not None:
            pi = pi.contiguous().clamp(min=-LARGEST_LOGIT)
            inflated = torch.sigmoid(pi)
            logit = value.sub_(pi)  # of a zero: the count's against one of the inflation
            more.add_(pick(logit))
            posterior = logit.neg().sigmoid_()  # probability that a zero is one of the inflation
            posterior.view(-1).index_fill_(0, where, 1.0)
            value = (inflated / posterior).log_()
        add(value, more)
        if not any(ctx.needs_input_grad):
            return value

        slope_mu = (theta / total).neg_()
        slope_theta = log_share.add_(slope_mu).add_(row / (row + EPS))
        slope_pi = None
        if pi is not None:
            posterior.view(-1).index_fill_(0, where, 0.0)
            share = 1 - posterior
            slope_mu.mul_(share)
            slope_theta.mul_(share)
            slope_pi = posterior.sub_(inflated)
        over = count / total_at
        add(slope_mu, (count / mu_at).sub_(over))
        add(slope_theta, high_slope.sub_(low_slope).sub_(over))
        ctx.save_for_backward(slope_mu, slope_theta, slope_pi)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        slopes = zip(ctx.saved_tensors, ctx.needs_input_grad[1:], strict=True)
        return None, *(slope * upstream if needed else None for slope, needed in slopes)


def above_zero(x: Tensor) -> Tensor:
    """Positions of counts in the flattened matrix; on a CPU numpy finds them several times faster than torch."""
    seen = ~(x <= EPS)  # what is no number must not pass for a zero
    if x.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(seen.numpy()))
    return seen.view(-1).nonzero().squeeze(1)
