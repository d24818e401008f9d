"""Sum the weighted penalties of a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from torch import nn

from scarches_plus import _arguments as check
from scarches_plus.train._penalties.penalty import Penalty

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from scarches_plus.train._penalties.penalty import Setting, Step


class PenaltySum(nn.Module):
    """The sum that penalties add to a loss.

    Parameters
    ----------
    penalties
        Terms.
    setting
        What they are prepared with; needed if there are any.
    """

    def __init__(self, penalties: Sequence[Penalty], setting: Setting | None) -> None:
        super().__init__()
        if penalties and setting is None:
            message = "penalties need a setting; pass them to the train method of a model, which knows it"
            raise TypeError(message)
        self._prepared: dict[str, tuple[Penalty, Callable[[Step], Tensor]]] = {}
        for name, penalty in zip(name_terms(penalties), penalties, strict=True):
            self._prepared[name] = penalty, penalty.prepare(setting)  # type: ignore[arg-type]
        self.layers: frozenset[str] = frozenset().union(*(penalty.layers for penalty in penalties))
        # registered, so that they move with the plan and are part of its checkpoints
        self.terms = nn.ModuleDict(
            {name: term for name, (_, term) in self._prepared.items() if isinstance(term, nn.Module)}
        )

    def __len__(self) -> int:
        return len(self._prepared)

    def forward(self, step: Step) -> Tensor | float:
        """Return the sum for a minibatch, and leave the value of each term in ``step.metrics``."""
        total: Tensor | float = 0.0
        for name, (penalty, term) in self._prepared.items():
            value = term(step)
            step.metrics[name] = value
            total = total + penalty.weight_at(step.epoch) * value
        return total


def name_terms(penalties: Sequence[Penalty]) -> list[str]:
    """Name the terms; of several of one kind, from the second on by number."""
    if isinstance(penalties, Penalty | str | type | Mapping) or not isinstance(penalties, Iterable):
        kind = type(penalties) if isinstance(penalties, Penalty) else penalties
        such_as = f"{kind.__name__}(...)" if isinstance(kind, type) else "sp.train.MMD()"
        message = f"penalties must be a list, such as penalties=[{such_as}], not {check.shown(penalties)}"
        raise TypeError(message)
    seen: Counter[str] = Counter()
    names = []
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            advice = f": {penalty.__name__}()" if isinstance(penalty, type) and issubclass(penalty, Penalty) else ""
            message = f"penalties must be objects of sp.train.Penalty{advice}, not {check.shown(penalty)}"
            raise TypeError(message)
        seen[penalty.name] += 1
        names.append(penalty.name if seen[penalty.name] == 1 else f"{penalty.name}_{seen[penalty.name]}")
    return names
