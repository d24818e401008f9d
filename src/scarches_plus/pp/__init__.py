"""Prepare cells: check and align a query, rename genes, join studies for a reference.

Everything here works on AnnData before any model is trained; nothing here trains or embeds.
"""

from ._align_genes import align_genes
from ._balance_cells import balance_cells
from ._check_query import check_query
from ._concat_studies import concat_studies
from ._gene_report import GeneReport
from ._gene_selection import GeneSelection
from ._harmonize_labels import harmonize_labels
from ._label_harmony import LabelHarmony
from ._label_tree import LabelTree, label_tree
from ._map_gene_ids import map_gene_ids
from ._map_orthologs import map_orthologs
from ._match_gene_names import match_gene_names
from ._normalize_gene_length import normalize_gene_length
from ._open_cells import open_cells
from ._query_report import Problem, QueryError, QueryReport
from ._seed_labels import seed_labels
from ._select_genes import select_genes
from ._write_store import write_store

# isort: split
# Offered to other packages of scarches_plus; not public.
from ._align_genes import locate_genes as locate_genes
from ._check_query import require_counts as require_counts
from ._checks._counts import kinds_of as kinds_of
from ._checks._value_kinds import COUNTS as COUNTS

__all__ = [
    "GeneReport",
    "GeneSelection",
    "LabelHarmony",
    "LabelTree",
    "Problem",
    "QueryError",
    "QueryReport",
    "align_genes",
    "balance_cells",
    "check_query",
    "concat_studies",
    "harmonize_labels",
    "label_tree",
    "map_gene_ids",
    "map_orthologs",
    "match_gene_names",
    "normalize_gene_length",
    "open_cells",
    "seed_labels",
    "select_genes",
    "write_store",
]
