"""Preparation: from a query AnnData to one that a reference model accepts, and from studies to a reference.

Everything here works on AnnData before any model is trained; nothing here trains or embeds.
"""

from ._align_genes import align_genes
from ._balance_cells import balance_cells
from ._check_query import check_query
from ._normalize_gene_length import normalize_gene_length
from ._query_report import Problem, QueryError, QueryReport

__all__ = [
    "Problem",
    "QueryError",
    "QueryReport",
    "align_genes",
    "balance_cells",
    "check_query",
    "normalize_gene_length",
]
