"""Set hidden layers of different widths (trVAE)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvi.nn import FCLayers


def set_layer_widths(module: Any, widths: Sequence[int]) -> None:
    """Give the hidden layers of encoder and decoder widths of their own; those of the decoder mirror the encoder's.

    Parameters
    ----------
    module
        :class:`scvi.module.VAE` or a subclass, whose weights of these layers are drawn anew.
    widths
        Units of each layer of the encoder, from the data to the latent variable.

    Raises
    ------
    ValueError
        If there are not as many as layers, or they are no positive integers.
    """
    encoder, decoder = module.z_encoder, module.decoder
    n_layers = len(encoder.encoder.fc_layers)
    if len(widths) != n_layers or not all(isinstance(width, int) and width > 0 for width in widths):
        message = (
            f"layer_widths must be a positive integer for each of the {n_layers} layers (n_layers), not {widths!r}"
        )
        raise ValueError(message)
    _resize(encoder.encoder, widths)
    for name in ("mean_encoder", "var_encoder"):
        setattr(encoder, name, _linear(getattr(encoder, name), n_in=widths[-1]))
    _resize(decoder.px_decoder, widths[::-1])
    for name in ("px_r_decoder", "px_dropout_decoder"):
        setattr(decoder, name, _linear(getattr(decoder, name), n_in=widths[0]))
    decoder.px_scale_decoder[0] = _linear(decoder.px_scale_decoder[0], n_in=widths[0])


def _resize(layers: FCLayers, widths: Sequence[int]) -> None:
    """Rebuild a stack of layers; the first takes what it took."""
    for number, (block, width) in enumerate(zip(layers.fc_layers, widths, strict=True)):
        n_in = block[0].in_features
        if number > 0:
            n_in = widths[number - 1] + layers.n_cov * layers.inject_into_layer(number)
        for position, part in enumerate(block):
            if isinstance(part, nn.Linear):
                block[position] = _linear(part, n_in, width)
            elif isinstance(part, nn.LayerNorm):
                block[position] = nn.LayerNorm(width, part.eps, part.elementwise_affine)
            elif isinstance(part, nn.BatchNorm1d):
                block[position] = nn.BatchNorm1d(width, part.eps, part.momentum)


def _linear(layer: nn.Linear, n_in: int, n_out: int | None = None) -> nn.Linear:
    return nn.Linear(n_in, layer.out_features if n_out is None else n_out, bias=layer.bias is not None)
