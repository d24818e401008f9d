"""Hide the batch from the first layer of a decoder (BA-scVI)."""

from __future__ import annotations

from typing import Any

from scvi.nn import FCLayers
from torch import nn


class LateCovariates(FCLayers):
    """Layers of which all but the first take categorical covariates.

    Parameters
    ----------
    layers
        Layers that all take covariates. The first is drawn anew without them; the others are shared.
    """

    def __init__(self, layers: FCLayers) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({name: value for name, value in vars(layers).items() if not name.startswith("_")})
        first = layers.fc_layers[0]
        linear = first[0]
        width = linear.in_features - layers.n_cov
        first[0] = nn.Linear(width, linear.out_features, bias=linear.bias is not None)
        self.fc_layers = layers.fc_layers

    def inject_into_layer(self, layer_num: int) -> bool:
        """Tell whether a layer takes covariates."""
        return layer_num > 0 and bool(super().inject_into_layer(layer_num))


def free_first_layer_of_batch(module: Any) -> None:
    """Let the first layer of a module's decoder see the latent variable only.

    It sees continuous covariates, too, if there are any.

    Parameters
    ----------
    module
        :class:`scvi.module.VAE` or a subclass.

    Raises
    ------
    ValueError
        If the decoder would then see no batch at all, or sees it in another way.
    """
    layers = module.decoder.px_decoder
    reasons = {
        "n_layers of at least 2": len(layers.fc_layers) < 2,
        "deeply_inject_covariates=True": not layers.inject_covariates,
    }
    needed = [option for option, lacking in reasons.items() if lacking]
    if needed:
        message = f"batch_free_decoder_layer needs {' and '.join(needed)}: the decoder would see no batch at all"
        raise ValueError(message)
    if module.batch_representation != "one-hot":
        message = (
            f"batch_free_decoder_layer needs batch_representation='one-hot': with {module.batch_representation!r} the "
            "batch enters together with the latent variable"
        )
        raise ValueError(message)
    module.decoder.px_decoder = LateCovariates(layers)
