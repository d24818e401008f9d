"""Replace the count likelihood by trVAE's likelihoods of normalised expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from scvi.module._constants import MODULE_KEYS
from torch import nn

from ._squared_error import NOT_DEFINED, SquaredError, normalized_counts

if TYPE_CHECKING:
    from torch import Tensor

#: ``gene_likelihood`` of squared errors, averaged and summed over genes.
SQUARED_ERRORS = ("mse", "sse")
#: What the counts of a cell are normalized_counts to add up to, as in scanpy's recipes.
TARGET_SUM = 1e4


class ExpressionLikelihoodMixin:
    """Reconstructs normalised expression instead of counts, if ``gene_likelihood`` is ``"mse"`` or ``"sse"`` (trVAE).

    The data are counts all the same, and normalised here. The encoder sees the same normalised values (before the
    logarithm with ``log_variational=False``). The decoder's output is linear and cut off at zero, as in scarches; but
    it starts at 1, because a gene whose output starts below zero in all cells would never be learned (1 to 20 % of
    genes, measured). What is ``"mse"`` in scarches sums over genes, and is ``"sse"`` here.
    """

    if TYPE_CHECKING:
        gene_likelihood: str
        dispersion: str
        use_observed_lib_size: bool
        use_size_factor_key: bool
        decoder: Any
        target_sum: Tensor

    def use_squared_error(self, weight: float) -> None:
        """Prepare the network, if ``gene_likelihood`` asks for it.

        Parameters
        ----------
        weight
            Factor of the reconstruction term.

        Raises
        ------
        ValueError
            If an option has no use.
        """
        if not self._reconstructs_expression:
            if weight != 1:
                message = (
                    f"reconstruction_weight is for gene_likelihood {SQUARED_ERRORS}, not {self.gene_likelihood!r}: "
                    "weigh the other term of a likelihood of counts, with plan_kwargs={'max_kl_weight': ...}"
                )
                raise ValueError(message)
            return
        given = {
            f"dispersion={self.dispersion!r}": self.dispersion != "gene",
            "use_observed_lib_size=False": not self.use_observed_lib_size,
            "size_factor_key": bool(self.use_size_factor_key),
        }
        useless = [option for option, is_given in given.items() if is_given]
        if useless:
            message = (
                f"gene_likelihood={self.gene_likelihood!r} has no use for {', '.join(useless)}: normalised expression "
                "has neither a dispersion nor a size. Leave it out"
            )
            raise ValueError(message)
        self.decoder.px_scale_decoder[1] = nn.ReLU()
        nn.init.ones_(self.decoder.px_scale_decoder[0].bias)
        self._reconstruction_weight = weight
        # part of the state dict, so that scvi-tools refuses the file: it would encode counts that are not normalised
        self.register_buffer("target_sum", torch.tensor(TARGET_SUM))  # type: ignore[attr-defined]

    @property
    def _reconstructs_expression(self) -> bool:
        return self.gene_likelihood in SQUARED_ERRORS

    def encoded(self, counts: Tensor) -> Tensor:
        """Return what the encoder sees of counts, but for the logarithm."""
        return normalized_counts(counts, self.target_sum.to(counts.device)) if self._reconstructs_expression else counts

    def _regular_inference(self, x: Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
        outputs: dict[str, Any] = super()._regular_inference(self.encoded(x), *args, **kwargs)  # type: ignore[misc]
        if self._reconstructs_expression:
            library = outputs[MODULE_KEYS.LIBRARY_KEY]
            outputs[MODULE_KEYS.LIBRARY_KEY] = x.sum(1, keepdim=True).log().to(library.device).expand_as(library)
        return outputs

    def generative(self, z: Tensor, library: Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run the generative process of scvi-tools."""
        if not self._reconstructs_expression:
            return super().generative(z, library, *args, **kwargs)  # type: ignore[misc, no-any-return]
        likelihood = self.gene_likelihood
        self.gene_likelihood = "poisson"  # the one of scvi-tools that has a mean and nothing else
        try:
            outputs: dict[str, Any] = super().generative(z, library, *args, **kwargs)  # type: ignore[misc]
        finally:
            self.gene_likelihood = likelihood
        mean = outputs[MODULE_KEYS.PX_KEY].scale
        outputs[MODULE_KEYS.PX_KEY] = SquaredError(
            mean,
            library.to(mean.device).exp(),
            self.target_sum,
            weight=self._reconstruction_weight,
            averaged=likelihood == "mse",
        )
        return outputs

    def marginal_ll(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the marginal log-likelihood as scvi-tools does.

        Raises
        ------
        NotImplementedError
            If there is none.
        """
        if self._reconstructs_expression:
            raise NotImplementedError(NOT_DEFINED.format("marginal likelihood"))
        return super().marginal_ll(*args, **kwargs)  # type: ignore[misc]
