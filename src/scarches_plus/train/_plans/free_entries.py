"""Train some entries of a tensor, and freeze the rest exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from torch.nn import Module, Parameter


class FreeEntries:
    """The part of a module that may train, as parameters an optimiser can hold.

    A tensor that trains whole is handed to the optimiser itself. Of a tensor that trains in some rows or columns, the
    optimiser gets a copy of just these; gradients are gathered into the copy before a step, values are written back
    after it. Whatever else an optimiser does to its parameters (weight decay, momentum, clipping) therefore cannot
    reach the other entries: they stay bit for bit what they were.

    Parameters
    ----------
    module
        Module whose parameters train.
    entries
        Parameter name to ``(dimension, indices)`` of the slices that train, or to ``None`` where all of it does.
        Parameters not named stay fixed.

    Raises
    ------
    KeyError
        If the module has no parameter of such a name.
    """

    def __init__(self, module: Module, entries: Mapping[str, tuple[int, Tensor] | None]) -> None:
        parameters = dict(module.named_parameters())
        unknown = sorted(set(entries) - set(parameters))
        if unknown:
            message = f"the module has no parameters named {unknown}"
            raise KeyError(message)
        self.whole: list[Parameter] = []
        self._parts: list[tuple[Parameter, int, Tensor, Tensor]] = []
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in entries)
            if name not in entries:
                continue
            where = entries[name]
            if where is None:
                self.whole.append(parameter)
            else:
                dim, index = where
                index = index.to(parameter.device)
                part = parameter.detach().index_select(dim, index).clone().requires_grad_()
                self._parts.append((parameter, dim, index, part))

    def parameters(self) -> list[Tensor]:
        """Tensors for the optimiser: they hold the free entries and nothing else."""
        return [*self.whole, *(part for *_, part in self._parts)]

    def __len__(self) -> int:
        return sum(tensor.numel() for tensor in self.parameters())

    def gather_gradients(self) -> None:
        """Move the gradients of free slices from the module to the optimiser's tensors."""
        for parameter, dim, index, part in self._parts:
            if parameter.grad is not None:
                part.grad = parameter.grad.index_select(dim, index)
                parameter.grad = None

    @torch.no_grad()
    def scatter_values(self) -> None:
        """Write the optimiser's values back into the module."""
        for parameter, dim, index, part in self._parts:
            parameter.index_copy_(dim, index, part)
