"""Map queries onto references, transfer labels, and analyse the mapped cells.

AnnData in, AnnData out; each verb is a short composition of public parts that work alone.
"""

from ._annotate import annotate
from ._assessment.assess_reference import assess_reference
from ._assessment.reference_assessment import ReferenceAssessment
from ._atlas.conserved_clusters import conserved_clusters
from ._atlas.label_similarity import label_similarity
from ._build_reference import build_reference
from ._cluster import cluster
from ._cluster_agreement import cluster_agreement
from ._cluster_table import cluster_table
from ._detect_novel import detect_novel
from ._differential_abundance import differential_abundance
from ._embed import embed
from ._explain_labels import explain_labels
from ._expression_table import expression_table
from ._extend_reference import extend_reference
from ._index_neighbors import index_neighbors
from ._joint_embedding import joint_embedding
from ._label_summary import label_summary
from ._map_many import map_many
from ._map_query import map_query
from ._name_novel import name_novel
from ._placement.place import place
from ._placement.presence import presence
from ._placement.reference_map import ReferenceMap, reference_map
from ._provenance.summary import Summary, summary
from ._rank_genes import rank_genes
from ._summary.expression_classifier import ExpressionClassifier, expression_classifier
from ._summary.label_profiles import LabelProfiles, label_profiles
from ._summary.reference_prototypes import reference_prototypes
from ._summary.reference_summary import ReferenceSummary, reference_summary
from ._transfer_labels import transfer_labels

__all__ = [
    "ExpressionClassifier",
    "LabelProfiles",
    "ReferenceAssessment",
    "ReferenceMap",
    "ReferenceSummary",
    "Summary",
    "annotate",
    "assess_reference",
    "build_reference",
    "cluster",
    "cluster_agreement",
    "cluster_table",
    "conserved_clusters",
    "detect_novel",
    "differential_abundance",
    "embed",
    "explain_labels",
    "expression_classifier",
    "expression_table",
    "extend_reference",
    "index_neighbors",
    "joint_embedding",
    "label_profiles",
    "label_similarity",
    "label_summary",
    "map_many",
    "map_query",
    "name_novel",
    "place",
    "presence",
    "rank_genes",
    "reference_map",
    "reference_prototypes",
    "reference_summary",
    "summary",
    "transfer_labels",
]
