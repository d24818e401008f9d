"""Gather the cells of a step from all processes that train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import distributed
from torch.distributed.nn.functional import all_gather

if TYPE_CHECKING:
    from torch import Tensor


def gathered(values: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cells of all processes, in their order; as they are where one process trains.

    Gradients reach the cells of every process. Processes average the gradients of weights, so that each may take the
    result for its own loss.

    Parameters
    ----------
    values
        Shape ``(n_cells, n_features)``; ``n_cells`` may differ between processes.
    codes
        Whole numbers, shape ``(n_cells,)``.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return values, codes
    sizes = [torch.zeros(1, dtype=torch.long, device=codes.device) for _ in range(distributed.get_world_size())]
    distributed.all_gather(sizes, torch.tensor([len(codes)], device=codes.device))
    most = int(max(sizes))
    padded = torch.nn.functional.pad(values, (0, 0, 0, most - len(values)))
    padded_codes = torch.nn.functional.pad(codes, (0, most - len(codes)))
    every_code = [torch.empty_like(padded_codes) for _ in sizes]
    distributed.all_gather(every_code, padded_codes)
    parts = zip(all_gather(padded), every_code, sizes, strict=True)
    cells = [(x[: int(n)], codes[: int(n)]) for x, codes, n in parts]
    return torch.cat([x for x, _ in cells]), torch.cat([codes for _, codes in cells])
