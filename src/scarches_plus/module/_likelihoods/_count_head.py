"""Fuse the decoder's last layer with the count likelihood in one cheap step."""

from __future__ import annotations

from itertools import count
from math import ceil
from threading import local
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

from ._count_slopes import EPS, count_slopes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor

    from torch import Tensor

#: Values of a matrix of intermediate results, so that a few of them stay in a core's cache.
_CACHED_VALUES = 3 * 2**16


class CountHead:
    r"""NB or ZINB log-likelihood of counts given the decoder's last hidden layer, where the layer above does not train.

    The likelihood is that of :class:`scvi.distributions.NegativeBinomial` or
    :class:`scvi.distributions.ZeroInflatedNegativeBinomial` with the mean :math:`\mu = l \, \mathrm{softmax}(W h + b)`.
    Its gradient with respect to :math:`h` is known in closed form and computed along with the value, a few cells at a
    time in memory that is used again: no graph over genes is kept. Log-gamma functions do not depend on :math:`h`;
    :meth:`constant` has them.

    Parameters
    ----------
    weight, bias
        Layer of the mean's logits, shapes ``(n_genes, n_hidden)`` and ``(n_genes,)``.
    dispersion
        Inverse dispersion :math:`\theta`, shape ``(n_groups, n_genes)``.
    zero_weight, zero_bias
        Layer of the logits of zero inflation; ``None`` for NB.
    workers
        Threads that take a few cells each; ``None`` means the caller's.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        dispersion: Tensor,
        zero_weight: Tensor | None = None,
        zero_bias: Tensor | None = None,
        *,
        workers: ThreadPoolExecutor | None = None,
    ) -> None:
        self._weight, self._bias, self._dispersion = weight.detach(), bias.detach(), dispersion.detach()
        self._zero_weight = None if zero_weight is None else zero_weight.detach()
        self._zero_bias = None if zero_bias is None else zero_bias.detach()
        self._log_dispersion = torch.log(self._dispersion + EPS)
        self._memory = _Memory()
        self._workers = workers

    def log_likelihood(
        self, hidden: Tensor, counts: Tensor, size: Tensor, group: Tensor, measured: Tensor | None = None
    ) -> Tensor:
        """Return the log-likelihood of each cell without its constant, differentiable in ``hidden``.

        Parameters
        ----------
        hidden
            Last hidden layer, shape ``(n_cells, n_hidden)``.
        counts
            Shape ``(n_cells, n_genes)``.
        size
            Library size, shape ``(n_cells, 1)``.
        group
            Row of the dispersion for each cell, shape ``(n_cells,)``.
        measured
            Boolean, shape ``(n_cells, n_genes)``: genes that count; ``None`` for all.

        Returns
        -------
        Tensor
            Shape ``(n_cells,)``, in nats.
        """
        return _LogLikelihood.apply(hidden, self, counts, size, group, measured)  # type: ignore[no-untyped-call, no-any-return]

    def constant(self, counts: Tensor, genes: Tensor, group: Tensor) -> Tensor:
        r"""Return the log-gamma terms of the likelihood, which are 0 where ``counts`` is.

        They are :math:`\log\Gamma(x + \theta) - \log\Gamma(\theta) - \log\Gamma(x + 1)`.

        Parameters
        ----------
        counts, genes, group
            Counts above zero, their genes and the rows of their dispersions, of one shape.
        """
        theta = self._dispersion[group, genes]
        return torch.lgamma(counts + theta) - torch.lgamma(theta) - torch.lgamma(counts + 1)

    def value_and_gradient(
        self, hidden: Tensor, counts: Tensor, size: Tensor, group: Tensor, measured: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return what :meth:`log_likelihood` does and its gradient with respect to ``hidden``."""
        rows = torch.arange(len(hidden))
        n_chunks = 1 if hidden.is_cuda else min(len(hidden), ceil(counts.numel() / _CACHED_VALUES))
        parts = [slice(int(chunk[0]), int(chunk[-1]) + 1) for chunk in rows.tensor_split(n_chunks)]

        def chunk(part: slice) -> tuple[Tensor, Tensor]:
            mask = None if measured is None else measured[part]
            return self._chunk(hidden[part], counts[part], size[part], group[part], mask)

        results = map(chunk, parts) if self._workers is None else self._workers.map(chunk, parts)
        value, gradient = zip(*results, strict=True)
        return torch.cat(value), torch.cat(gradient)

    @torch.no_grad()  # a thread of its own begins with gradients on
    def _chunk(
        self, hidden: Tensor, x: Tensor, size: Tensor, group: Tensor, measured: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        theta, log_theta = self._dispersion, self._log_dispersion
        if len(theta) > 1:
            theta, log_theta = theta[group], log_theta[group]
        memory = self._memory.of_shape(x)
        logits = torch.addmm(self._bias, hidden, self._weight.t(), out=next(memory))
        zero_logits = None
        if self._zero_weight is not None:
            zero_logits = torch.addmm(self._zero_bias, hidden, self._zero_weight.t(), out=next(memory))
        slopes = count_slopes(
            x,
            logits,
            zero_logits,
            size=size,
            theta=theta,
            log_theta=log_theta,
            measured=measured,
            memory=memory,
        )
        gradient = slopes.logits @ self._weight
        if self._zero_weight is not None:
            gradient.addmm_(slopes.zero_logits, self._zero_weight)
        return slopes.value.sum(1), gradient


class _Memory(local):
    """Matrices of a thread that are used again.

    Asking the system for fresh ones costs as much as computing with them.
    """

    def __init__(self) -> None:
        self._matrices: list[Tensor] = []

    def of_shape(self, like: Tensor) -> Iterator[Tensor]:
        """Yield matrices of the shape of ``like``, holding anything."""
        for position in count():
            if position == len(self._matrices):
                self._matrices.append(torch.empty_like(like))
            if self._matrices[position].numel() < like.numel():
                self._matrices[position] = torch.empty_like(like)
            yield self._matrices[position].view(-1)[: like.numel()].view(like.shape)


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: CountHead, *cells: Any) -> Tensor:
        value, gradient = head.value_and_gradient(hidden, *cells)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream.unsqueeze(1), None, None, None, None, None
