"""Adapt scvi-tools modules by what all modules of this package share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus.module._likelihoods._count_likelihood import CountLikelihoodMixin
from scarches_plus.module._likelihoods._expression_likelihood import ExpressionLikelihoodMixin
from scarches_plus.module._likelihoods._gene_mask import GeneMaskMixin

from ._batch_free_layer import free_first_layer_of_batch
from ._layer_widths import set_layer_widths
from ._summed_in_parts import sum_in_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class AdaptedMixin(GeneMaskMixin, ExpressionLikelihoodMixin, CountLikelihoodMixin):
    """A module of scvi-tools with a gene mask, a cheaper likelihood, and networks of further papers."""

    def adapt(
        self,
        *,
        batch_free_decoder_layer: bool,
        reconstruction_weight: float,
        layer_widths: Sequence[int] | None,
        normalize_encoder_input: bool,
    ) -> None:
        """Change the network that scvi-tools built; with the defaults what it computes stays the same.

        Parameters
        ----------
        batch_free_decoder_layer, reconstruction_weight, layer_widths, normalize_encoder_input
            As in :class:`~scarches_plus.module.VAE`.
        """
        check.flags(batch_free_decoder_layer=batch_free_decoder_layer, normalize_encoder_input=normalize_encoder_input)
        check.number("reconstruction_weight", reconstruction_weight, above=0)
        if layer_widths is not None:
            widths = check.names("layer_widths", layer_widths, of=object, least=1)
            set_layer_widths(self, [check.whole("layer_widths", one, least=1, most=_limits.UNITS) for one in widths])
        self.idle_unused_layers()
        self.use_squared_error(reconstruction_weight)
        if normalize_encoder_input and not self.encodes_normalized:  # as a squared error has it anyhow
            self.normalize_encoder_input()
        if batch_free_decoder_layer:
            free_first_layer_of_batch(self)
        sum_in_parts(self)

    def infer(self, counts: Tensor, **covariates: Tensor | None) -> dict[str, Any]:
        """Return what ``inference`` makes of counts."""
        return self.inference(counts, **covariates)  # type: ignore[attr-defined, no-any-return]

    def likelihood(self, z: Tensor, library: Tensor, **covariates: Any) -> Any:
        """Return the distribution of counts for latent variables and logarithms of library sizes."""
        labels = torch.zeros_like(covariates["batch_index"])
        return self.generative(z, library, **covariates, y=labels)["px"]
