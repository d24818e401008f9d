"""Search nearest neighbours by Euclidean distance: exact while that is quick, approximate beyond."""

from ._search import EXACT_PAIRS, Neighbors, dense, finite_cells, nearest, nearest_within

__all__ = ["EXACT_PAIRS", "Neighbors", "dense", "finite_cells", "nearest", "nearest_within"]
