"""Replace the count likelihood by trVAE's likelihoods of normalised expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scvi.module._constants import MODULE_KEYS
from torch import nn

from ._encoder_input import EncoderInputMixin
from ._squared_error import NOT_DEFINED, SquaredError

if TYPE_CHECKING:
    from torch import Tensor

#: ``gene_likelihood`` of squared errors, averaged and summed over genes.
SQUARED_ERRORS = ("mse", "sse")


class ExpressionLikelihoodMixin(EncoderInputMixin):
    """Reconstructs normalised expression instead of counts, if ``gene_likelihood`` is ``"mse"`` or ``"sse"`` (trVAE).

    The data are counts all the same, and normalised here. The encoder sees the same normalised values (before the
    logarithm with ``log_variational=False``). The decoder's output is linear and cut off at zero, as in scarches; but
    it starts at 1, because a gene whose output starts below zero in all cells would never be learned (1 to 20 % of
    genes, measured). What is ``"mse"`` in scarches sums over genes, and is ``"sse"`` here.
    """

    if TYPE_CHECKING:
        gene_likelihood: str
        dispersion: str
        use_size_factor_key: bool
        decoder: Any

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
        self.normalize_encoder_input()

    @property
    def _reconstructs_expression(self) -> bool:
        return self.gene_likelihood in SQUARED_ERRORS

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
