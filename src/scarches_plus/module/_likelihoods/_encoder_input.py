"""Normalise the counts that the encoder sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from scvi.module._constants import MODULE_KEYS

from ._squared_error import normalized_counts

if TYPE_CHECKING:
    from torch import Tensor

#: What the counts of a cell are normalised to add up to, as in scanpy's recipes.
TARGET_SUM = 1e4


class EncoderInputMixin:
    """Lets the encoder see ``log1p(1e4 * x / x.sum())`` of counts ``x``, the sum over the genes of the module.

    Library sizes stay those of the counts: observed ones, and learned ones, whose encoder sees ``log1p(x)``.
    """

    #: Whether the encoder sees normalised counts.
    encodes_normalized: bool = False

    if TYPE_CHECKING:
        log_variational: bool
        use_observed_lib_size: bool
        l_encoder: Any
        target_sum: Tensor

    def normalize_encoder_input(self) -> None:
        """Normalise what the encoder sees from now on."""
        self.encodes_normalized = True
        self._counts: Tensor | None = None
        # part of the state dict, so that scvi-tools refuses the file: it would encode counts that are not normalised
        self.register_buffer("target_sum", torch.tensor(TARGET_SUM))  # type: ignore[attr-defined]
        if not self.use_observed_lib_size:
            self.l_encoder.register_forward_pre_hook(self._with_counts_as_they_are)

    def encoded(self, counts: Tensor) -> Tensor:
        """Return what the encoder sees of counts, but for the logarithm."""
        return normalized_counts(counts, self.target_sum.to(counts.device)) if self.encodes_normalized else counts

    def _regular_inference(self, x: Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if not self.encodes_normalized:
            return super()._regular_inference(x, *args, **kwargs)  # type: ignore[misc, no-any-return]
        self._counts = x
        try:
            outputs: dict[str, Any] = super()._regular_inference(self.encoded(x), *args, **kwargs)  # type: ignore[misc]
        finally:
            self._counts = None
        if self.use_observed_lib_size:
            library = outputs[MODULE_KEYS.LIBRARY_KEY]
            outputs[MODULE_KEYS.LIBRARY_KEY] = x.sum(1, keepdim=True).log().to(library.device).expand_as(library)
        return outputs

    def _with_counts_as_they_are(self, _: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Replace normalised counts at the door of the library's encoder; covariates behind them stay."""
        assert self._counts is not None
        normalized, *categories = inputs
        counts = self._counts.to(normalized)
        counts = torch.log1p(counts) if self.log_variational else counts
        return torch.cat((counts, normalized[..., counts.shape[-1] :]), dim=-1), *categories
