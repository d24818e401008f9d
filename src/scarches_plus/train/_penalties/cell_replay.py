"""Replay reference cells during the training of a query model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus import _arguments as check

from .penalty import Penalty, refuse_unless_reference_moves

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from .penalty import Setting, Step


@dataclass(frozen=True, kw_only=True)
class CellReplay(Penalty):
    """Replay of reference cells: their loss takes part in the query's training.

    Parameters
    ----------
    cells
        AnnData of reference cells with raw counts, as :func:`scarches_plus.tl.embed` takes them.
    weight
        Factor of the term, the mean negative ELBO of the cells that are seen again. With 1, they count as much as the
        query's.
    n_cells
        Cells seen again in each step.
    n_kept
        How many of ``cells`` take part, drawn at random.
    warmup_epochs, warmup
        As in :class:`Penalty`.

    References
    ----------
    The upper bound that CLCVAE 2022 compares itself with: joint training on reference and query.
    """

    name = "cell_replay"

    cells: Any = field(repr=False, compare=False)
    n_cells: int = 128
    n_kept: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        check.cells("cells", self.cells, mudata=True)
        self._set_whole(n_cells=1, n_kept=1)

    def prepare(self, setting: Setting) -> Callable[[Step], Tensor]:
        """Return what computes the term.

        Raises
        ------
        ValueError
            If the reference cannot move, the model knows a batch of the cells not, or the query check refuses the
            cells.
        """
        refuse_unless_reference_moves(self, setting)
        n_cells = self.cells.n_obs
        rows = np.random.default_rng(0).permutation(n_cells)[: self.n_kept]
        if setting.load is None:
            message = "this setting cannot load cells; pass the penalty to the train method of a model"
            raise ValueError(message)
        tensors = setting.load(self.cells[np.sort(rows)])

        def value(step: Step) -> Tensor:
            some = torch.randperm(len(rows))[: self.n_cells]
            device = step.inference["z"].device
            *_, losses = step.module({name: one[some].to(device) for name, one in tensors.items()})
            return losses.loss  # type: ignore[no-any-return]

        return value

    def options(self) -> dict[str, object]:
        """Return name and options as plain values, without the cells."""
        options = super().options()
        options["cells"] = self.cells.n_obs
        return options
