"""Load example data sets: bundled, simulated, or downloaded and checked against a hash.

A data set here returns an AnnData with raw counts, ``obs["cell_type"]`` and ``obs["batch"]``, and says where the
data come from and what is wrong with them. Nothing here changes an AnnData (``pp``) or knows a model (``model``).
"""

from ._kang import kang
from ._pancreas import pancreas
from ._pbmc3k import pbmc3k
from ._pbmc68k import pbmc68k
from ._pbmc_cite_seq import pbmc_cite_seq
from ._purified_pbmc import purified_pbmc
from ._scmark import scmark
from ._simulate import simulate
from ._tabula_muris_senis import tabula_muris_senis

__all__ = [
    "kang",
    "pancreas",
    "pbmc3k",
    "pbmc68k",
    "pbmc_cite_seq",
    "purified_pbmc",
    "scmark",
    "simulate",
    "tabula_muris_senis",
]
