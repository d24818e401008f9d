"""Sum linear layers in parts, so that new condition columns change no bit."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from scvi.nn import FCLayers
from torch import nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class SummedInParts(nn.Linear):
    """A linear layer on features and one-hot conditions whose output no added column can change.

    The conditions follow the features, and the column is one more of a condition.

    A product of matrices rounds differently once it has another column, even if that is 0 for all cells: by 4e-7 in
    latent representations. Without gradients, features and each condition are multiplied on their own here and added up
    in their order. With gradients (training) it is a plain linear layer, which is faster.

    Parameters
    ----------
    layer
        The layer, whose weights this one shares.
    sizes
        How many columns of the input are features, and belong to each condition.
    """

    def __init__(self, layer: nn.Linear, sizes: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.sizes = tuple(sizes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layer's output."""
        if torch.is_grad_enabled():
            return super().forward(inputs)
        return sum_of_parts(inputs, self.weight, self.bias, self.sizes)


def sum_of_parts(inputs: Tensor, weight: Tensor, bias: Tensor | None, sizes: Sequence[int]) -> Tensor:
    """Return what a linear layer does, with the columns of each part multiplied on their own."""
    (features, *conditions), (first, *others) = inputs.split(sizes, dim=-1), weight.split(sizes, dim=1)
    out = linear(features.contiguous(), first.contiguous(), bias)
    for condition, columns in zip(conditions, others, strict=True):
        out = out + linear(condition, columns)  # of one-hot rows: a column of the weights, exactly
    return out


def sum_in_parts(module: Any) -> None:
    """Let the layers of a module that take conditions add them up after their features.

    Parameters
    ----------
    module
        Module of scvi-tools; its parameters and their names stay the same.
    """
    for stack in list(module.modules()):
        if not isinstance(stack, FCLayers) or not sum(stack.n_cat_list):
            continue
        for number, block in enumerate(stack.fc_layers):
            for position, layer in enumerate(block):
                if isinstance(layer, nn.Linear) and stack.inject_into_layer(number):
                    sizes = chain([layer.in_features - sum(stack.n_cat_list)], filter(None, stack.n_cat_list))
                    block[position] = SummedInParts(layer, tuple(sizes))
