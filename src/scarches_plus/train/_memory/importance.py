"""Hold the importance of weights: the diagonal Fisher information, for EWC."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True)
class Importance:
    """Diagonal Fisher information of a model's weights.

    Attributes
    ----------
    fisher
        Parameter name to the mean over cells of squared gradients, of the parameter's shape.
    values
        Parameter name to the weights at which this is true.
    n_cells
        Number of cells that were looked at.
    estimator
        ``"per_cell"`` or ``"batch"``, as :func:`estimate_importance` took it.
    """

    fisher: Mapping[str, Tensor] = field(repr=False)
    values: Mapping[str, Tensor] = field(repr=False)
    n_cells: int
    estimator: str

    def to_plain(self) -> dict[str, Any]:
        """Return dicts, tensors, text and numbers only, so that plain scvi-tools opens a file that holds them."""
        return vars(self) | {"fisher": dict(self.fisher), "values": dict(self.values)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Importance:
        """Undo :meth:`to_plain`."""
        return cls(**plain)

    def plus(self, earlier: Importance, *, decay: float = 1.0) -> Importance:
        """Return the importance to both an earlier reference and this one, at the weights of this one (online EWC).

        Parameters
        ----------
        earlier
            Importance of the same parameters.
        decay
            Factor of the earlier one; below 1, old queries are forgotten little by little.
        """
        check.number("decay", decay, least=0)
        fisher = {name: decay * values for name, values in earlier.fisher.items()}
        for name, values in self.fisher.items():
            fisher[name] = values + fisher[name] if name in fisher else values
        return replace(
            self,
            fisher=fisher,
            values={**earlier.values, **self.values},
            n_cells=self.n_cells + earlier.n_cells,
        )
