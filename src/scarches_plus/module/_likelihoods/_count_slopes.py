"""Compute the log-likelihood of counts (NB, ZINB) and its slopes in the decoder's outputs, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

#: What scvi-tools adds before it takes logarithms; without it the objective would be another one.
EPS = 1e-8
#: Logits of zero inflation below minus this have no effect, and their probability would be 0 in single precision.
LARGEST_LOGIT = 80.0


class CountSlopes(NamedTuple):
    """Log-likelihood of each count, and its derivatives; all of shape ``(n_cells, n_genes)``.

    Attributes
    ----------
    value
        Log-likelihood but for log-gamma functions, in nats.
    logits
        Of a cell's whole log-likelihood, with respect to the logits of the mean.
    zero_logits
        With respect to the logits of zero inflation; ``None`` for NB.
    dispersion
        With respect to the inverse dispersion, but for digamma functions; ``None`` if not asked for.
    """

    value: Tensor
    logits: Tensor
    zero_logits: Tensor | None
    dispersion: Tensor | None


def count_slopes(
    counts: Tensor,
    logits: Tensor,
    zero_logits: Tensor | None,
    *,
    size: Tensor,
    theta: Tensor,
    log_theta: Tensor,
    measured: Tensor | None,
    memory: Iterator[Tensor],
    of_dispersion: bool = False,
) -> CountSlopes:
    r"""Return the log-likelihood of counts whose mean is :math:`\mu = l \, \mathrm{softmax}(\mathrm{logits})`.

    Parameters
    ----------
    counts
        Shape ``(n_cells, n_genes)``.
    logits, zero_logits
        Of the mean and of zero inflation (``None`` for NB), same shape; overwritten.
    size
        Library size :math:`l`, shape ``(n_cells, 1)``.
    theta, log_theta
        Inverse dispersion and the logarithm of its sum with :data:`EPS`, of a shape that broadcasts.
    measured
        Boolean, same shape as ``counts``: genes that count; ``None`` for all.
    memory
        Yields tensors of the shape of ``counts`` to write into.
    of_dispersion
        Whether to compute the derivative with respect to ``theta``.
    """
    mean = torch.softmax(logits, dim=1, out=next(memory)).mul_(size)
    mean_eps = torch.add(mean, EPS, out=logits)
    total = torch.add(mean, theta, out=next(memory)).add_(EPS)
    ratio = torch.add(counts, theta, out=next(memory)).div_(total)
    slope = torch.div(counts, mean_eps, out=next(memory)).sub_(ratio).mul_(mean)  # with respect to log(mean)
    log_total = total.log_()
    log_ratio = mean_eps.log_().sub_(log_total)
    log_share = log_total.sub_(log_theta).neg_()
    slope_theta = ratio.neg_().add_(log_share).add_(theta / (theta + EPS)) if of_dispersion else None
    log_zero = log_share.mul_(theta)  # log-likelihood of a zero under NB
    slope_zero = None
    if zero_logits is None:
        value = log_zero.addcmul_(counts, log_ratio)
    else:
        seen = torch.sign(counts, out=next(memory))
        zero_logits.clamp_(min=-LARGEST_LOGIT)
        inflated = torch.sigmoid(zero_logits, out=next(memory))
        logit = log_zero.sub_(zero_logits)  # of a zero: the count's against one of the inflation
        posterior = torch.neg(logit, out=zero_logits).sigmoid_()  # probability that a zero is one of the inflation
        posterior.addcmul_(posterior, seen, value=-1)
        share = torch.sub(1, posterior, out=next(memory))
        slope.mul_(share)
        if slope_theta is not None:
            slope_theta.mul_(share)
        slope_zero = torch.sub(posterior, inflated, out=share)
        value = inflated.div_(posterior.add_(seen)).log_().addcmul_(seen, logit).addcmul_(counts, log_ratio)
    for matrix in (value, slope, slope_zero, slope_theta):
        if measured is not None and matrix is not None:
            matrix.mul_(measured)
    slope.addcmul_(mean, slope.sum(1, keepdim=True).neg_().div_(size.clamp(min=EPS)))  # through the softmax
    return CountSlopes(value, slope, slope_zero, slope_theta)
