"""Compute squared errors of normalised expression in place of a count likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import torch

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST = 1e-8
#: What to say of everything that needs a distribution.
NOT_DEFINED = (
    "gene_likelihood 'mse' and 'sse' have no {}: a squared error of normalised expression is no distribution of "
    "counts. Use a model with 'nb' or 'zinb' for this"
)


def normalized_counts(counts: Tensor, target_sum: Tensor) -> Tensor:
    """Scale counts, shape ``(n_cells, n_genes)``, such that those of each cell add up to ``target_sum``."""
    return counts * (target_sum / counts.sum(-1, keepdim=True).clamp(min=_SMALLEST))


class SquaredError:
    r"""Stands for the distribution of counts where the squared error of their normalised expression is minimised.

    The expression of a count :math:`x_g` is :math:`\log(1 + T x_g / \sum_{g'} x_{g'})`, the sum over the genes of the
    model.

    Parameters
    ----------
    mean
        Expression that the decoder predicts, shape ``(..., n_cells, n_genes)``.
    size
        Counts per cell, shape ``(..., n_cells, 1)``.
    target_sum
        :math:`T`.
    weight
        Factor of the errors.
    averaged
        Divide the error of each gene by the number of genes, such that their sum is a mean.
    measured
        Boolean, shape ``(n_cells, n_genes)``: genes that count; ``None`` for all.
    """

    def __init__(
        self,
        mean: Tensor,
        size: Tensor,
        target_sum: Tensor,
        *,
        weight: float = 1.0,
        averaged: bool = False,
        measured: Tensor | None = None,
    ) -> None:
        self.mean = mean
        self._size, self._target_sum = size, target_sum
        self._weight, self._averaged, self._measured = weight, averaged, measured

    def log_prob(self, counts: Tensor) -> Tensor:
        """Return minus the weighted squared error per cell and gene."""
        error = torch.log1p(normalized_counts(counts, self._target_sum)) - self.mean
        value = -self._weight * error.square()
        if self._measured is not None:
            value = value.masked_fill(~self._measured, 0.0)
        if not self._averaged:
            return value
        if self._measured is None:
            return value / value.shape[-1]
        return value / self._measured.sum(-1, keepdim=True).clamp(min=1)

    def restricted_to(self, measured: Tensor) -> SquaredError:
        """Leave out genes that were not measured."""
        return SquaredError(
            self.mean,
            self._size,
            self._target_sum,
            weight=self._weight,
            averaged=self._averaged,
            measured=measured,
        )

    def get_normalized(self, key: str) -> Tensor:
        """Return predicted shares of a cell's counts (``"scale"``), or predicted counts (``"mu"``).

        They come from the mean of a logarithm; the shares of a cell add up to 1 about, not exactly.
        """
        shares = torch.expm1(self.mean) / self._target_sum
        if key == "scale":
            return shares
        if key == "mu":
            return shares * self._size
        message = f"normalized key {key} not recognized"
        raise ValueError(message)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(NOT_DEFINED.format(name))
