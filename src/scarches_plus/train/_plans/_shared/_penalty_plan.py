"""Add penalties to the loss of a scvi-tools training plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus.train._penalties._shared._activations import caught
from scarches_plus.train._penalties._shared._penalty_sum import PenaltySum
from scarches_plus.train._penalties.penalty import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from scarches_plus.train._penalties.penalty import Penalty, Setting


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
        self.penalty_sum = PenaltySum(penalties, setting)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss of scvi-tools and, in training, add the penalties."""
        if not len(self.penalty_sum) or not self.training:  # type: ignore[attr-defined]
            return super().forward(*args, **kwargs)  # type: ignore[misc]
        module = getattr(self.module, "_orig_mod", self.module)  # type: ignore[attr-defined]
        with caught(module, self.penalty_sum.layers) as activations:
            inference, generative, losses = super().forward(*args, **kwargs)  # type: ignore[misc]
        step = Step(args[0], inference, generative, activations, module, self.current_epoch)  # type: ignore[attr-defined]
        losses.loss = losses.loss + self.penalty_sum(step)
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
