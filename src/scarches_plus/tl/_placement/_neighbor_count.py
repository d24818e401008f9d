"""Choose how many points of a map stand for some cells.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: One anchor would draw all cells onto itself; more than a few reach into other islands.
_FEWEST_ANCHORS = 3


def neighbor_count(k: int, n_cells: NDArray) -> int:
    """Return the number of points that stand for `k` cells: as many, or three anchors or more.

    Parameters
    ----------
    k
        Number of cells.
    n_cells
        Cells that each point stands for, shape ``(n_points,)``.
    """
    if n_cells.max() > 1:
        k = max(_FEWEST_ANCHORS, round(k / float(n_cells.mean())))
    return min(k, len(n_cells))
