"""Training: what changes the loss or the schedule of an scvi-tools model.

Torch and scvi-tools' training plans only; nothing here knows AnnData. Networks belong into ``module``.
"""

from ._adam_strides import AdamStrides, stride_lengths
from ._anchors import Anchors
from ._batch_adversary import BatchAdversary
from ._carry_anchors import carry_anchors
from ._carry_summaries import carry_summaries
from ._cell_replay import CellReplay
from ._estimate_importance import estimate_importance
from ._ewc import EWC
from ._free_entries import FreeEntries
from ._importance import Importance
from ._latent_replay import LatentReplay
from ._latent_summary import LatentSummary
from ._mmd import MMD
from ._penalty import Grouping, Penalty, Setting, Step
from ._plan import AdversarialTrainingPlan, SemiSupervisedTrainingPlan, TrainingPlan
from ._store_anchors import store_anchors
from ._summarize_reference import summarize_reference

__all__ = [
    "EWC",
    "MMD",
    "AdamStrides",
    "AdversarialTrainingPlan",
    "Anchors",
    "BatchAdversary",
    "CellReplay",
    "FreeEntries",
    "Grouping",
    "Importance",
    "LatentReplay",
    "LatentSummary",
    "Penalty",
    "SemiSupervisedTrainingPlan",
    "Setting",
    "Step",
    "TrainingPlan",
    "carry_anchors",
    "carry_summaries",
    "estimate_importance",
    "store_anchors",
    "stride_lengths",
    "summarize_reference",
]
