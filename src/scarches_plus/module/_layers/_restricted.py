"""Restrict a classifier to the classes that each cell may belong to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@contextmanager
def restricted(classifier: Any, allowed: Tensor) -> Iterator[None]:
    """Let a classifier give probability to allowed classes only, while the context is open.

    Parameters
    ----------
    classifier
        Gives logits or, as its attribute ``logits`` says, probabilities of classes.
    allowed
        Boolean, shape ``(n_cells, n_classes)``.
    """

    def restrict(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        if classifier.logits:
            return output.masked_fill(~allowed, -torch.inf)
        shares = output * allowed
        return shares / shares.sum(-1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)

    handle = classifier.register_forward_hook(restrict)
    try:
        yield
    finally:
        handle.remove()
