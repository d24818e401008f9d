"""Set a module to evaluation mode, and restore the mode of every part."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.nn import Module


@contextmanager
def evaluated(module: Module) -> Iterator[None]:
    """Evaluate a module without dropout and without updates of running statistics.

    Every part gets its own mode back.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
