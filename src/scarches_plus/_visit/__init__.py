"""Visit a reference: open it, map a query, look for novel cells, transfer labels, place the cells on the map.

Commands, the page and :func:`scarches_plus.tl.map_many` go through here, so that they give the same answer.
"""

from ._known import REFERENCE, Known, open_known, summary_at
from ._steps import consensus_of, find_novel, picture_of, transfer
from ._verdict import Verdict, verdict_of
from ._visit_cells import Visit, VisitOptions, map_cells, set_seed

__all__ = [
    "REFERENCE",
    "Known",
    "Verdict",
    "Visit",
    "VisitOptions",
    "consensus_of",
    "find_novel",
    "map_cells",
    "open_known",
    "picture_of",
    "set_seed",
    "summary_at",
    "transfer",
    "verdict_of",
]
