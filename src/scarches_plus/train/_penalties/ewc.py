"""Penalise changes of important weights: elastic weight consolidation (EWC, CLCVAE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .penalty import Penalty

if TYPE_CHECKING:
    from torch import Tensor

    from scarches_plus.train._memory.importance import Importance

    from .penalty import Setting, Step


@dataclass(frozen=True, kw_only=True)
class EWC(Penalty):
    r"""Elastic weight consolidation: weights that matter to the reference stay near where they are (CLCVAE).

    The term is :math:`\frac{1}{2} \sum_i F_i (\theta_i - \theta^*_i)^2` over the reference's parameters, with the
    diagonal :math:`F` of the Fisher information and the weights :math:`\theta^*` at which :func:`estimate_importance`
    found it. Both travel with the saved model, so no reference cell is needed. Columns of new batches are free.

    :math:`F` is a mean over cells, and the loss of a model is a mean over cells: with ``weight=1`` the reference counts
    as much as the query, whatever the sizes of both and of minibatches.

    Parameters
    ----------
    weight
        Factor of the term (the paper's lambda).
    warmup_epochs, warmup
        As in :class:`Penalty`.

    References
    ----------
    Kirkpatrick et al. 2017 (EWC); CLCVAE 2022, whose notebooks leave out the factor 1/2.
    """

    name = "ewc"

    def prepare(self, setting: Setting) -> nn.Module:
        """Return what computes the term.

        Raises
        ------
        ValueError
            If the model has no importance, or nothing that trains matters to the reference.
        """
        if setting.importance is None:
            message = (
                "EWC needs to know which weights matter to the reference: call "
                "sp.train.estimate_importance(reference_model) before mapping, where the reference's cells are at hand"
            )
            raise ValueError(message)
        held = _held(setting.importance, setting)
        if not held:
            message = (
                "EWC would have no effect: nothing that trains here matters to the reference. Map with strategy='all', "
                "or leave the penalty out"
            )
            raise ValueError(message)
        return _Consolidation(setting.importance, setting.module, held)


def _held(importance: Importance, setting: Setting) -> list[str]:
    """Return the parameters of the reference that matter to it and that may train."""
    parameters = dict(setting.module.named_parameters())
    held = []
    for name, fisher in importance.fisher.items():
        if name not in parameters or (setting.trained is not None and name not in setting.trained):
            continue
        where = None if setting.trained is None else setting.trained[name]
        free = fisher if where is None else fisher.index_select(where[0], where[1].to(fisher.device))
        if free.any():
            held.append(name)
    return held


class _Consolidation(nn.Module):
    def __init__(self, importance: Importance, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self._names = names
        device = next(module.parameters()).device
        for i, name in enumerate(names):
            self.register_buffer(f"fisher_{i}", importance.fisher[name].to(device), persistent=False)
            self.register_buffer(f"values_{i}", importance.values[name].to(device), persistent=False)
        self._found: tuple[nn.Module, list[Tensor]] | None = None

    def forward(self, step: Step) -> Tensor:
        if self._found is None or self._found[0] is not step.module:
            parameters = dict(step.module.named_parameters())
            self._found = step.module, [parameters[name] for name in self._names]
        fisher, values = (
            [getattr(self, f"{kind}_{i}") for i in range(len(self._names))] for kind in ("fisher", "values")
        )
        return _HalfWeightedSquares.apply(fisher, values, *self._found[1])  # type: ignore[no-untyped-call, no-any-return]


class _HalfWeightedSquares(torch.autograd.Function):
    """Half the weighted sum of squared differences, with its gradient kept from the forward pass."""

    @staticmethod
    def forward(ctx: Any, fisher: list[Tensor], values: list[Tensor], *parameters: Tensor) -> Tensor:
        differences = torch._foreach_sub([parameter.detach() for parameter in parameters], values)
        gradients = torch._foreach_mul(fisher, differences)
        ctx.save_for_backward(*gradients)
        pairs = zip(gradients, differences, strict=True)
        return 0.5 * torch.stack([torch.dot(one.flatten(), other.flatten()) for one, other in pairs]).sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return None, None, *torch._foreach_mul(ctx.saved_tensors, gradient)
