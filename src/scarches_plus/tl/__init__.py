"""The verbs: build a reference, map a query, embed, join, transfer labels.

AnnData in, AnnData out; each verb is a short composition of public parts that work alone.
"""

from ._build_reference import build_reference
from ._embed import embed
from ._joint_embedding import joint_embedding
from ._map_query import map_query
from ._transfer_labels import transfer_labels

__all__ = ["build_reference", "embed", "joint_embedding", "map_query", "transfer_labels"]
