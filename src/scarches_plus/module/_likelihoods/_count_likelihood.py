"""Speed up the log-probability of scvi-tools' count distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import scvi.distributions
import torch
from scvi.module._constants import MODULE_KEYS

from ._count_log_prob import count_log_prob

if TYPE_CHECKING:
    from torch import Tensor


class _ClosedFormMixin:
    """The ``log_prob`` of scvi-tools' distribution in closed form, without its check that counts are whole numbers."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability per cell and gene."""
        parameters = [self.mu, self.theta, getattr(self, "zi_logits", None)]  # type: ignore[attr-defined]
        given = [value, *(parameter for parameter in parameters if parameter is not None)]
        alike = len({(tensor.shape, tensor.dtype, tensor.device) for tensor in given}) == 1
        if not alike or value.dim() != 2:  # several samples of one cell, mixed precision
            return super().log_prob(value)  # type: ignore[misc]
        return count_log_prob(value, *parameters)


class NegativeBinomial(_ClosedFormMixin, scvi.distributions.NegativeBinomial):
    """:class:`scvi.distributions.NegativeBinomial` with a log-probability in closed form."""


class ZeroInflatedNegativeBinomial(_ClosedFormMixin, scvi.distributions.ZeroInflatedNegativeBinomial):
    """:class:`scvi.distributions.ZeroInflatedNegativeBinomial` with a log-probability in closed form."""


class _IdleLinear(torch.nn.Linear):
    """The weights of a linear layer whose output nobody reads."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, device="meta")  # draws no random numbers
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, _: Tensor) -> None:  # type: ignore[override]
        """Compute nothing."""


class CountLikelihoodMixin:
    """Makes the likelihood of counts in an scvi-tools module cost less time; what it computes stays the same."""

    def idle_unused_layers(self) -> None:
        """Stop computing logits of zero inflation where the likelihood has none; the state dict stays the same."""
        decoder = self.decoder  # type: ignore[attr-defined]
        if self.gene_likelihood != "zinb":  # type: ignore[attr-defined]
            decoder.px_dropout_decoder = _IdleLinear(decoder.px_dropout_decoder)

    def generative(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run the generative process of scvi-tools."""
        outputs = super().generative(*args, **kwargs)  # type: ignore[misc]
        px = outputs[MODULE_KEYS.PX_KEY]
        if type(px) is scvi.distributions.NegativeBinomial:
            px = NegativeBinomial(mu=px.mu, theta=px.theta, scale=px.scale)
        elif type(px) is scvi.distributions.ZeroInflatedNegativeBinomial:
            px = ZeroInflatedNegativeBinomial(mu=px.mu, theta=px.theta, zi_logits=px.zi_logits, scale=px.scale)
        outputs[MODULE_KEYS.PX_KEY] = px
        return outputs
