"""Measures of a mapping: arrays in, numbers and small result classes out.

Nothing here knows AnnData or a model. One file per measure, named like it; each docstring
gives the definition, its source, and where published code departs from it.
"""

from ._batch_entropy import batch_entropy
from ._entropy_batch_mixing import entropy_batch_mixing
from ._kni import KNI, kni
from ._label_transfer_report import LabelTransferReport, label_transfer_report
from ._neighbor_preservation import neighbor_preservation
from ._rbni import RBNI, rbni
from ._reference_drift import ReferenceDrift, reference_drift

__all__ = [
    "KNI",
    "RBNI",
    "LabelTransferReport",
    "ReferenceDrift",
    "batch_entropy",
    "entropy_batch_mixing",
    "kni",
    "label_transfer_report",
    "neighbor_preservation",
    "rbni",
    "reference_drift",
]
