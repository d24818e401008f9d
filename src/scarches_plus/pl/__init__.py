"""Draw figures of a mapping: each reads an AnnData, draws on Axes and returns them.

Nothing here computes a result, changes its input, shows or saves a figure: the caller
does. Give ``ax`` to draw into a figure of your own.
"""

from ._abundance import abundance
from ._confusion_matrix import confusion_matrix
from ._differential_expression import differential_expression
from ._drift import drift
from ._joint_umap import joint_umap
from ._label_summary import label_summary
from ._novelty import novelty
from ._reference_map import reference_map
from ._reliability import reliability
from ._report import report
from ._uncertainty_by_type import uncertainty_by_type

__all__ = [
    "abundance",
    "confusion_matrix",
    "differential_expression",
    "drift",
    "joint_umap",
    "label_summary",
    "novelty",
    "reference_map",
    "reliability",
    "report",
    "uncertainty_by_type",
]
