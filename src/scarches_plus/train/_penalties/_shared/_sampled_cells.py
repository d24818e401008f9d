"""Sample reference-like cells from stored posteriors, for replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from scarches_plus.train._estimation._eval_mode import evaluated

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from scarches_plus.train._memory.anchors import Anchors

_CHUNK = 512
#: Likelihoods of expression (trVAE), as ``module.SQUARED_ERRORS``.
_WITHOUT_COUNTS = ("mse", "sse")


class Rehearsal:
    """Draws counts for anchors from the model that they belong to, and runs them through any of its successors.

    Parameters
    ----------
    anchors
        Posteriors of reference cells.
    module
        Module of the model that they belong to; one of its successors by surgery has the same batches first.
    """

    def __init__(self, anchors: Anchors, module: Module) -> None:
        if getattr(module, "gene_likelihood", None) in _WITHOUT_COUNTS:
            message = (
                f"counts cannot be drawn with gene_likelihood={module.gene_likelihood!r}: leave the penalty out, or "
                "map with strategy='condition'"
            )
            raise ValueError(message)
        batch, *covariates = anchors.groups.values()
        self._covariates = {
            "batch_index": batch[:, None],
            "cont_covs": anchors.continuous,
            "cat_covs": torch.stack(covariates, 1) if covariates else None,
        }
        self._library = anchors.library
        with torch.no_grad(), evaluated(module):
            self._z = anchors.at("z", torch.arange(len(anchors)))
            parts = [self.decode(module, rows) for rows in self.chunks()]
            self.expression = torch.cat([px.scale.cpu() for px in parts])
            self._counts = torch.cat([px.sample().cpu() for px in parts])

    def __len__(self) -> int:
        return len(self._z)

    def chunks(self) -> tuple[Tensor, ...]:
        """Return all rows, some at a time."""
        return torch.arange(len(self)).split(_CHUNK)

    def library_sizes(self, rows: Tensor) -> Tensor:
        """Return library sizes, shape ``(n_rows,)``."""
        return self._library[rows, 0].exp()

    def encode(self, module: Module, rows: Tensor) -> dict[str, Any]:
        """Return what a module infers from the drawn counts."""
        counts = self._counts[rows].to(_device(module))
        return module.infer(counts, **self._at(module, rows))  # type: ignore[operator, no-any-return]

    def decode(self, module: Module, rows: Tensor) -> Any:
        """Return the distribution of counts that a module expects of the stored posteriors."""
        device = _device(module)
        z, library = self._z[rows].to(device), self._library[rows].to(device)
        return module.likelihood(z, library, **self._at(module, rows))  # type: ignore[operator]

    def _at(self, module: Module, rows: Tensor) -> dict[str, Tensor | None]:
        device = _device(module)
        return {name: None if values is None else values[rows].to(device) for name, values in self._covariates.items()}


def _device(module: Module) -> torch.device:
    return next(module.parameters()).device
