"""Hold anchors: latent posteriors and activations of some reference cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True)
class Anchors:
    """Latent posteriors and hidden activations of some reference cells, without their counts.

    Attributes
    ----------
    z_mean, z_var
        Posterior of the latent variable, shape ``(n_cells, n_latent)``.
    library
        Logarithm of library sizes, shape ``(n_cells, 1)``.
    activations
        Outputs of hidden layers ``"encoder"`` and ``"decoder"``, shape ``(n_cells, n_hidden)``, without dropout.
    groups
        Column name to the code of each cell's group, shape ``(n_cells,)``: batch first, then further covariates.
    space
        Latent space that they belong to.
    continuous
        Continuous covariates, shape ``(n_cells, n_covariates)``, or ``None``.
    """

    z_mean: Tensor = field(repr=False)
    z_var: Tensor = field(repr=False)
    library: Tensor = field(repr=False)
    activations: Mapping[str, Tensor] = field(repr=False)
    groups: Mapping[str, Tensor] = field(repr=False)
    space: str
    continuous: Tensor | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.z_mean)

    def at(self, place: str, rows: Tensor) -> Tensor:
        """Return ``"z"`` (a fresh sample), ``"z_mean"`` or the activations of a hidden layer for some of the cells."""
        if place == "z_mean":
            return self.z_mean[rows]
        if place == "z":
            mean = self.z_mean[rows]
            return mean + self.z_var[rows].sqrt() * torch.randn_like(mean)
        return self.activations[place][rows]

    def codes(self, group: str) -> Tensor:
        """Return the group of each cell, shape ``(n_cells,)``."""
        return self.groups[group]

    def to_plain(self) -> dict[str, Any]:
        """Return dicts and tensors only, so that plain scvi-tools opens a file that holds them."""
        return vars(self) | {"activations": dict(self.activations), "groups": dict(self.groups)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Anchors:
        """Undo :meth:`to_plain`."""
        return cls(**plain)
