"""Search the nearest neighbours that several metrics of one embedding share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus._neighbors import dense, nearest_within

from ._checks import first_neighbors

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def nearest_others(
    embedding: ArrayLike, k: int, neighbors: ArrayLike | None = None, what: str = "neighbors"
) -> NDArray[np.int64]:
    """Indices of the `k` nearest other cells of every cell: the first columns of `neighbors`, or searched."""
    if neighbors is None:
        return nearest_within(embedding, k).indices
    return first_neighbors(np.asarray(neighbors), len(dense(embedding)), k, what)
