"""Capture outputs of hidden layers while a module computes its loss."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scarches_plus.train._penalties.penalty import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor
    from torch.nn import Module


def hidden_layer(module: Module, layer: str) -> Module:
    """Return the submodule whose output is a hidden layer: the encoder's last or the decoder's first.

    Parameters
    ----------
    module
        Module of scvi-tools with an encoder ``z_encoder`` or ``encoder``, and a decoder whose first stack of layers
        takes the latent variable.
    layer
        ``"encoder"`` or ``"decoder"``.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    stack = _stack(module, layer)
    if layer == "encoder":
        return stack
    # a stack calls the parts of its blocks one by one, never a block
    return [part for part in stack.fc_layers[0] if part is not None][-1]


def _stack(module: Module, layer: str) -> Any:
    from scvi.nn import FCLayers

    if layer not in LAYERS:
        message = f"there is no hidden layer {layer!r}, only {LAYERS}"
        raise ValueError(message)
    owners = ("z_encoder", "encoder") if layer == "encoder" else ("decoder",)
    for owner in owners:
        for _, part in getattr(module, owner, _NOTHING).named_modules():
            if isinstance(part, FCLayers):
                return part
    message = f"{type(module).__name__} has no {layer} whose hidden layers can be watched"
    raise ValueError(message)


class _Nothing:
    @staticmethod
    def named_modules() -> tuple[()]:
        return ()


_NOTHING = _Nothing()


@contextmanager
def caught(module: Module, layers: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Catch the first output of each hidden layer while the context is open.

    scANVI's loss encodes labelled cells once more; the first output belongs to the minibatch.
    """
    outputs: dict[str, Tensor] = {}

    def keep(layer: str) -> Any:
        def hook(_module: Module, _inputs: Any, output: Tensor) -> None:
            outputs.setdefault(layer, output)

        return hook

    handles = [hidden_layer(module, layer).register_forward_hook(keep(layer)) for layer in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
