"""Follow the path of Adam over many steps in strides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from scarches_plus import _arguments as check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class AdamStrides:
    r"""Follows the path that :class:`torch.optim.Adam` takes on minibatches, many of its steps at a time.

    Where the gradient changes little over :math:`\kappa` steps of Adam on minibatches, these steps move the parameters
    by about :math:`\kappa` times what one of them does *in expectation*. A stride takes that step. It needs the two
    moments of the minibatch gradient that Adam averages: the mean :math:`g`, and the mean square
    :math:`g^2 + \sigma^2 / n`, in which :math:`\sigma^2 / n` is the variance of the mean over a minibatch. Leaving the
    variance out would give another path, since Adam slows down where gradients are noisy. A stride of one step is a
    step of Adam.

    Parameters
    ----------
    parameters
        Tensors to change in place.
    lr, betas, eps, weight_decay
        As in :class:`torch.optim.Adam`.

    Notes
    -----
    Kingma & Ba 2015, Algorithm 1, with the exponential averages of :math:`\kappa` equal terms in closed form. That a
    step of Adam depends on the minibatch through these two moments is what its scaling rules rest on (Malladi et al.
    2022).
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        check.number("lr", lr, above=0)
        check.number("eps", eps, least=0)
        check.number("weight_decay", weight_decay, least=0)
        for beta in check.names("betas", betas, of=object, least=2):
            check.number("betas", beta, least=0, below=1)
        self._parameters = list(parameters)
        self._lr, self._betas, self._eps, self._weight_decay = lr, betas, eps, weight_decay
        self._first = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._second = [torch.zeros_like(parameter) for parameter in self._parameters]
        self.n_steps = 0

    @torch.no_grad()
    def stride(self, gradients: Sequence[Tensor], variances: Sequence[Tensor | float], n_steps: int) -> None:
        """Take ``n_steps`` steps at once.

        Parameters
        ----------
        gradients
            Estimated mean gradient of each parameter.
        variances
            For each parameter, by how much the mean square of a minibatch's gradient exceeds the square of the
            estimate.
        n_steps
            Steps of Adam to take.
        """
        n_steps = check.whole("n_steps", n_steps, least=1)
        self.n_steps += n_steps
        decay_1, decay_2 = (beta**n_steps for beta in self._betas)
        bias_1, bias_2 = (1 - beta**self.n_steps for beta in self._betas)
        for parameter, gradient, variance, first, second in zip(
            self._parameters, gradients, variances, self._first, self._second, strict=True
        ):
            total = gradient + self._weight_decay * parameter if self._weight_decay else gradient
            first.mul_(decay_1).add_(total, alpha=1 - decay_1)
            second.mul_(decay_2).add_(total.square() + variance, alpha=1 - decay_2)
            denominator = (second / bias_2).sqrt_().add_(self._eps)
            parameter.addcdiv_(first, denominator, value=-self._lr * n_steps / bias_1)


def stride_lengths(n_steps: int, longest: int, fewest: int, *, tail: float = 0.3) -> list[int]:
    """Divide steps into strides: equally long ones, then ever shorter ones, whose end is a step.

    Long strides overshoot by about their length; the short ones at the end undo that.

    Parameters
    ----------
    n_steps
        Steps in all, at least 1.
    longest
        Largest number of steps in a stride; 1 gives single steps.
    fewest
        Strides to take at least, if there are so many steps.
    tail
        Share of strides that grow shorter.

    Returns
    -------
    list of int
        Positive, of sum ``n_steps``.
    """
    n_steps = check.whole("n_steps", n_steps, least=1)
    longest = check.whole("longest", longest, least=1)
    fewest = check.whole("fewest", fewest, least=1)
    check.number("tail", tail, above=0, most=1)
    n_strides = max(fewest, int(np.ceil(n_steps / (longest * (1 - tail / 2)))))
    if longest == 1 or n_strides >= n_steps:
        return [1] * n_steps
    weights = np.minimum(1.0, (n_strides - np.arange(n_strides)) / (tail * n_strides))
    ends = np.maximum(1, np.round(n_steps * np.cumsum(weights) / weights.sum())).astype(int)
    return [int(length) for length in np.diff(ends, prepend=0) if length]
