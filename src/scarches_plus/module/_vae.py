"""Adapt scVI's module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import scvi.module

from scarches_plus._options import check_network, extends

from ._layers._adapted import AdaptedMixin

if TYPE_CHECKING:
    from collections.abc import Sequence


class VAE(AdaptedMixin, scvi.module.VAE):
    """:class:`scvi.module.VAE` with a gene mask, networks of trVAE and BA-scVI, and a cheaper likelihood.

    Genes a batch did not measure can be left out of the likelihood (:meth:`set_gene_mask`).

    Parameters
    ----------
    *args, **kwargs
        As in scvi-tools. ``gene_likelihood`` may also be ``"mse"`` or ``"sse"``: the squared error of normalised
        expression, ``log1p(1e4 * x / x.sum())`` of the counts ``x``, averaged or summed over genes. The encoder then
        sees the same values.
    batch_free_decoder_layer
        Let batch and categorical covariates enter the decoder after its first layer (BA-scVI). Needs ``n_layers`` of at
        least 2.
    reconstruction_weight
        Factor of a squared error (trVAE's eta).
    layer_widths
        Units of each of the encoder's hidden layers, from the data on, if they differ (trVAE); ``n_hidden`` then has no
        use for them. The decoder's layers mirror them.
    normalize_encoder_input
        Let the encoder see ``log1p(1e4 * x / x.sum())`` of the counts ``x`` (BA-scVI), the sum over the genes of the
        module, instead of ``log1p(x)``, in which the depth of a cell shows. The likelihood stays one of counts, and a
        library size that is learned is learned from these. A squared error has it anyhow.

    References
    ----------
    trVAE: Lotfollahi et al. 2020. BA-scVI: arXiv 2503.20730.
    """

    @extends(scvi.module.VAE.__init__)
    def __init__(
        self,
        *args: Any,
        batch_free_decoder_layer: bool = False,
        reconstruction_weight: float = 1.0,
        layer_widths: Sequence[int] | None = None,
        normalize_encoder_input: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **check_network(kwargs, type(self), name="VAE"))
        self.adapt(
            batch_free_decoder_layer=batch_free_decoder_layer,
            reconstruction_weight=reconstruction_weight,
            layer_widths=layer_widths,
            normalize_encoder_input=normalize_encoder_input,
        )
