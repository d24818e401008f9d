"""Normalise counts as methods that take no counts want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def log_normalized(cells: AnnData, target_sum: float = 1e4) -> AnnData:
    """Return a copy with log(1 + counts per ``target_sum``)."""
    import scanpy as sc

    cells = cells.copy()
    sc.pp.normalize_total(cells, target_sum=target_sum)
    sc.pp.log1p(cells)
    return cells
