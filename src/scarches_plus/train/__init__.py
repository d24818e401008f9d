"""Training: what changes the loss or the schedule of an scvi-tools model.

Torch and scvi-tools' training plans only; nothing here knows AnnData. Networks belong into ``module``.
"""

from ._adam_strides import AdamStrides, stride_lengths
from ._free_entries import FreeEntries
from ._plan import SemiSupervisedTrainingPlan, TrainingPlan

__all__ = ["AdamStrides", "FreeEntries", "SemiSupervisedTrainingPlan", "TrainingPlan", "stride_lengths"]
