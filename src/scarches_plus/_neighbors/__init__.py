"""Search nearest neighbours (kNN) by Euclidean distance, exactly or approximately.

The search is exact while that is quick.
"""

from ._search import EXACT_PAIRS, Neighbors, dense, finite_cells, nearest, nearest_within

__all__ = ["EXACT_PAIRS", "Neighbors", "dense", "finite_cells", "nearest", "nearest_within"]
