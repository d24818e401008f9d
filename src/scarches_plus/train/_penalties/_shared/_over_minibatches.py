"""Average penalties over minibatches of a larger sample."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from scarches_plus.train._penalties.penalty import Step

    from ._penalty_sum import PenaltySum


def over_minibatches(penalties: PenaltySum, step: Step, batch_size: int) -> Tensor | float:
    """Return the mean of the penalties over minibatches into which the cells are divided at random.

    A penalty that compares cells with each other depends on how many there are: the discrepancy of samples of one
    distribution is larger for small samples (eq. 11 of scArches). The mean over minibatches is what training on them
    sees.

    Parameters
    ----------
    penalties
        Penalties that read the latent space only (:attr:`Penalty.latent_only`).
    step
        What is known of the cells. ``metrics`` get the mean of each term.
    batch_size
        Cells of a minibatch; the parts are equal, of about this size.
    """
    latent = step.inference["z"]
    n_cells = len(latent)
    n_parts = max(1, round(n_cells / batch_size))
    if n_parts == 1:
        return penalties(step)  # type: ignore[no-any-return]
    total: Tensor | float = 0.0
    metrics: dict[str, Tensor | float] = defaultdict(float)
    for rows in torch.randperm(n_cells).tensor_split(n_parts):
        part = _cells_of(step, rows.to(latent.device))
        total = total + penalties(part) * (len(rows) / n_cells)
        for name, value in part.metrics.items():
            metrics[name] = metrics[name] + value.detach() * (len(rows) / n_cells)
    step.metrics.update(metrics)  # type: ignore[arg-type]
    return total


def _cells_of(step: Step, rows: Tensor) -> Step:
    latent = step.inference["qz"]
    return replace(
        step,
        tensors=_rows_of(step.tensors, rows),
        inference={"z": step.inference["z"][rows], "qz": type(latent)(latent.loc[rows], latent.scale[rows])},
        activations=_rows_of(step.activations, rows),
        metrics={},
    )


def _rows_of(values: Mapping[str, Any], rows: Tensor) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in values.items() if value is not None}
