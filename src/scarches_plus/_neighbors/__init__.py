"""Search nearest neighbours (kNN) by Euclidean distance, exactly or approximately.

One file for each method; ``_index`` chooses among them, and ``_search`` is what the package calls.
"""

from ._index import METHODS, build_index
from ._search import Neighbors, coordinates, dense, finite_cells, nearest, nearest_within

__all__ = ["METHODS", "Neighbors", "build_index", "coordinates", "dense", "finite_cells", "nearest", "nearest_within"]
