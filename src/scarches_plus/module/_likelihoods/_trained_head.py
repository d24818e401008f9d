"""Fuse the decoder's last layer with the count likelihood in one cheap step, where both train."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

from ._count_log_prob import above_zero
from ._count_slopes import EPS, count_slopes
from ._log_gamma import log_gamma_and_slope

if TYPE_CHECKING:
    from torch import Tensor


def head_log_likelihood(
    hidden: Tensor,
    layer: tuple[Tensor, Tensor],
    dispersion: Tensor,
    zero_layer: tuple[Tensor, Tensor] | None,
    counts: Tensor,
    *,
    size: Tensor,
    group: Tensor | None = None,
    measured: Tensor | None = None,
    constant: Tensor | None = None,
    trains: bool = True,
) -> Tensor:
    r"""Return the NB or ZINB log-likelihood of each cell's counts, differentiable in all that may train.

    The mean is :math:`\mu = l \, \mathrm{softmax}(W h + b)`. Values and slopes are computed together, in a few passes
    over the matrix of counts; between the last hidden layer and the sum over genes there is no graph.

    Parameters
    ----------
    hidden
        Last hidden layer :math:`h`, shape ``(n_cells, n_hidden)``.
    layer
        Weight and bias of the mean's logits, shapes ``(n_genes, n_hidden)`` and ``(n_genes,)``.
    dispersion
        Inverse dispersion :math:`\theta`, shape ``(n_groups, n_genes)``.
    zero_layer
        Weight and bias of the logits of zero inflation; ``None`` for NB.
    counts
        Shape ``(n_cells, n_genes)``.
    size
        Library size :math:`l`, shape ``(n_cells, 1)``.
    group
        Row of the dispersion for each cell, shape ``(n_cells,)``; ``None`` where there is one row.
    measured
        Boolean, shape ``(n_cells, n_genes)``: genes that count; ``None`` for all.
    constant
        What :func:`constant_terms` returns for the cells, if it is known.
    trains
        Whether the dispersion trains, so that ``constant`` is without the log-gamma functions that it is in.

    Returns
    -------
    Tensor
        Shape ``(n_cells,)``, in nats.
    """
    zero_layer = zero_layer or (None, None)
    if constant is None and not trains:
        constant = constant_terms(counts, dispersion, group, measured, trains=False)
    value = _HeadLogLikelihood.apply(  # type: ignore[no-untyped-call]
        hidden, *layer, dispersion, *zero_layer, counts, size, group, measured, trains, constant is None
    )
    return value if constant is None else value + constant  # type: ignore[no-any-return]


def constant_terms(
    counts: Tensor, dispersion: Tensor, group: Tensor | None, measured: Tensor | None, *, trains: bool
) -> Tensor:
    """Return the part of each cell's log-likelihood that training cannot change, shape ``(n_cells,)``.

    Parameters
    ----------
    counts, dispersion, group, measured
        As in :func:`head_log_likelihood`.
    trains
        Whether the dispersion trains; if not, all log-gamma functions are constant.
    """
    where = above_zero(counts)
    count = counts.contiguous().view(-1).index_select(0, where)
    terms = torch.lgamma(count + 1).neg_()
    if not trains:
        terms += _of_counts(count, dispersion, _entries(where, dispersion, group))[0]
    if measured is not None:
        terms *= measured.reshape(-1).index_select(0, where)
    cell = where.div(counts.shape[1], rounding_mode="floor")
    return counts.new_zeros(len(counts)).index_add_(0, cell, terms)


class _HeadLogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 (autograd takes no names)
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        dispersion: Tensor,
        zero_weight: Tensor | None,
        zero_bias: Tensor | None,
        counts: Tensor,
        size: Tensor,
        group: Tensor | None,
        measured: Tensor | None,
        trains: bool,  # noqa: FBT001 (autograd takes no names)
        whole: bool,  # noqa: FBT001
    ) -> Tensor:
        counts = counts.contiguous()
        logits = torch.addmm(bias, hidden, weight.t())
        zero_logits = None if zero_weight is None else torch.addmm(zero_bias, hidden, zero_weight.t())
        theta = dispersion if group is None else dispersion[group]
        slopes = count_slopes(
            counts,
            logits,
            zero_logits,
            size=size,
            theta=theta,
            log_theta=torch.log(theta + EPS),
            measured=measured,
            memory=map(torch.empty_like, repeat(counts)),
            of_dispersion=ctx.needs_input_grad[3],
        )
        if trains:
            where = above_zero(counts)
            count = counts.view(-1).index_select(0, where)
            values, of_theta = _of_counts(count, dispersion, _entries(where, dispersion, group))
            if whole:
                values -= torch.lgamma(count + 1)
            for target, terms in ((slopes.value, values), (slopes.dispersion, of_theta)):
                if target is None:
                    continue
                if measured is not None:
                    terms.mul_(measured.reshape(-1).index_select(0, where))
                target.view(-1).index_add_(0, where, terms)
        ctx.save_for_backward(hidden, weight, zero_weight, group, dispersion, *slopes[1:])
        return slopes.value.sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, zero_weight, group, dispersion, slope, slope_zero, slope_theta = ctx.saved_tensors
        upstream = upstream.unsqueeze(1)
        of_hidden, *of_layer = _of_linear(hidden, weight, slope * upstream, ctx.needs_input_grad[:3])
        of_zero_layer = [None, None]
        if slope_zero is not None:
            needed = ctx.needs_input_grad[0], *ctx.needs_input_grad[4:6]
            more, *of_zero_layer = _of_linear(hidden, zero_weight, slope_zero * upstream, needed)
            of_hidden = None if of_hidden is None else of_hidden.add_(more)
        of_theta = None
        if slope_theta is not None:
            if group is None:
                of_theta = upstream.t() @ slope_theta
            else:
                of_theta = torch.zeros_like(dispersion).index_add_(0, group, slope_theta * upstream)
        return of_hidden, *of_layer, of_theta, *of_zero_layer, *(None,) * 6


def _entries(where: Tensor, dispersion: Tensor, group: Tensor | None) -> Tensor:
    """Return the entry of the flattened dispersion for each entry of the flattened counts."""
    n_genes = dispersion.shape[1]
    gene = where.remainder(n_genes)
    return gene if group is None else gene + group[where.div(n_genes, rounding_mode="floor")] * n_genes


def _of_counts(count: Tensor, dispersion: Tensor, entry: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-gamma functions that the dispersion is in, and their slopes."""
    theta = dispersion.reshape(-1)
    both = torch.cat([theta.index_select(0, entry).add_(count), theta])
    value, slope = log_gamma_and_slope(both)
    n_counts = len(count)
    return tuple(  # type: ignore[return-value]
        part[:n_counts].sub_(part[n_counts:].index_select(0, entry)) for part in (value, slope)
    )


def _of_linear(
    inputs: Tensor, weight: Tensor, slope: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of a linear layer's input, weight and bias, so far as they are needed."""
    return (
        slope @ weight if needed[0] else None,
        slope.t() @ inputs if needed[1] else None,
        slope.sum(0) if needed[2] else None,
    )
