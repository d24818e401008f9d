"""Penalties in a training plan of scvi-tools."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from torch import nn

from ._activations import caught
from ._penalty import Penalty, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from ._penalty import Setting


class PenaltyMixin:
    """Adds penalties to the loss of a training plan, whichever plan and module it is.

    Every plan of scvi-tools computes its loss in ``forward``; that is the one place this needs.

    Parameters
    ----------
    module
        Module to train.
    penalties
        Terms to add.
    setting
        What the penalties are prepared with; needed if there are any.
    """

    def __init__(
        self,
        module: nn.Module,
        *args: Any,
        penalties: Sequence[Penalty] = (),
        setting: Setting | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, *args, **kwargs)  # type: ignore[call-arg]
        if penalties and setting is None:
            message = "penalties need a setting; pass them to the train method of a model, which knows it"
            raise TypeError(message)
        self._penalties: dict[str, tuple[Penalty, Callable[[Step], Tensor]]] = {}
        for name, penalty in zip(name_terms(penalties), penalties, strict=True):
            self._penalties[name] = penalty, penalty.prepare(setting)  # type: ignore[arg-type]
        self._layers = frozenset().union(*(penalty.layers for penalty in penalties))
        # registered, so that they move with the plan and are part of its checkpoints
        self.penalty_terms = nn.ModuleDict(
            {name: term for name, (_, term) in self._penalties.items() if isinstance(term, nn.Module)}
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss of scvi-tools and, in training, add the penalties."""
        if not self._penalties or not self.training:  # type: ignore[attr-defined]
            return super().forward(*args, **kwargs)  # type: ignore[misc]
        module = getattr(self.module, "_orig_mod", self.module)  # type: ignore[attr-defined]
        with caught(module, self._layers) as activations:
            inference, generative, losses = super().forward(*args, **kwargs)  # type: ignore[misc]
        step = Step(args[0], inference, generative, activations, module, self.current_epoch)  # type: ignore[attr-defined]
        for name, (penalty, term) in self._penalties.items():
            value = term(step)
            step.metrics[name] = value
            losses.loss = losses.loss + penalty.weight_at(self.current_epoch) * value  # type: ignore[attr-defined]
        for name, value in step.metrics.items():
            self.log(  # type: ignore[attr-defined]
                f"{name}_train",
                value.detach(),
                on_step=False,
                on_epoch=True,
                batch_size=losses.n_obs_minibatch,
                sync_dist=self.use_sync_dist,  # type: ignore[attr-defined]
            )
        return inference, generative, losses


def name_terms(penalties: Sequence[Penalty]) -> list[str]:
    """Name the terms; of several of one kind, from the second on by number."""
    seen: Counter[str] = Counter()
    names = []
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            message = f"penalties must be objects of sp.train.Penalty, not {penalty!r}"
            raise TypeError(message)
        seen[penalty.name] += 1
        names.append(penalty.name if seen[penalty.name] == 1 else f"{penalty.name}_{seen[penalty.name]}")
    return names
