"""Measure a mapping: batch mixing, label conservation, label transfer and drift.

Arrays in, numbers and small result classes out; only ``evaluate`` reads AnnData, and nothing knows a model. One file a
measure, named like it; each docstring gives the definition, its source, and where published code departs from it.
"""

from ._evaluation.evaluate import evaluate
from ._evaluation.report import Report
from ._labels.hierarchical_label_scores import HierarchicalLabelScores, hierarchical_label_scores
from ._labels.isolated_label_score import isolated_label_score
from ._labels.label_mixing import label_mixing
from ._labels.label_purity import label_purity
from ._labels.label_transfer_report import LabelTransferReport, label_transfer_report
from ._labels.reliability_curve import reliability_curve
from ._mixing.batch_entropy import batch_entropy
from ._mixing.entropy_batch_mixing import entropy_batch_mixing
from ._mixing.graph_connectivity import graph_connectivity
from ._mixing.kni import KNIScore, kni
from ._mixing.mixing_along import mixing_along
from ._mixing.over_k import over_k
from ._mixing.over_mixing import over_mixing
from ._mixing.rbni import RbNIScore, rbni
from ._movement.neighbor_preservation import neighbor_preservation
from ._movement.reference_drift import ReferenceDrift, reference_drift
from ._proteins.protein_discrepancy import protein_discrepancy
from ._proteins.protein_neighbor_overlap import protein_neighbor_overlap
from ._proteins.scale_proteins import scale_proteins

# isort: split
# Offered to other packages of scarches_plus; not public.
from ._labels.reliability_curve import calibration_error as calibration_error

__all__ = [
    "HierarchicalLabelScores",
    "KNIScore",
    "LabelTransferReport",
    "RbNIScore",
    "ReferenceDrift",
    "Report",
    "batch_entropy",
    "entropy_batch_mixing",
    "evaluate",
    "graph_connectivity",
    "hierarchical_label_scores",
    "isolated_label_score",
    "kni",
    "label_mixing",
    "label_purity",
    "label_transfer_report",
    "mixing_along",
    "neighbor_preservation",
    "over_k",
    "over_mixing",
    "protein_discrepancy",
    "protein_neighbor_overlap",
    "rbni",
    "reference_drift",
    "reliability_curve",
    "scale_proteins",
]
