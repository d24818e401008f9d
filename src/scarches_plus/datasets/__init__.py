"""Load example data sets: bundled, simulated, or downloaded and checked against a hash.

A data set here returns an AnnData with raw counts, ``obs["cell_type"]`` and ``obs["batch"]``, and says where the
data come from and what is wrong with them. Nothing here changes an AnnData (``pp``) or knows a model (``model``).
"""

from ._pancreas import pancreas
from ._pbmc68k import pbmc68k
from ._simulate import simulate

__all__ = ["pancreas", "pbmc68k", "simulate"]
