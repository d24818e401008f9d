"""Train models with penalties, explicit modes and exact freezing.

What changes the loss or the schedule of an scvi-tools model belongs here, and what a model remembers of its reference:
penalties and plans know tensors only, ``_memory`` and ``_estimation`` a model with its cells. Networks belong into
``module``.
"""

from ._memory.anchors import Anchors
from ._memory.carry_anchors import carry_anchors
from ._memory.carry_summaries import carry_summaries
from ._memory.estimate_importance import estimate_importance
from ._memory.importance import Importance
from ._memory.latent_summary import LatentSummary
from ._memory.store_anchors import store_anchors
from ._memory.summarize_reference import summarize_reference
from ._penalties.batch_adversary import BatchAdversary
from ._penalties.cell_replay import CellReplay
from ._penalties.ewc import EWC
from ._penalties.label_replay import LabelReplay
from ._penalties.latent_replay import LatentReplay
from ._penalties.mmd import MMD
from ._penalties.penalty import Grouping, Penalty, Setting, Step
from ._plans.adam_strides import AdamStrides, stride_lengths
from ._plans.free_entries import FreeEntries
from ._plans.plan import AdversarialTrainingPlan, SemiSupervisedTrainingPlan, TrainingPlan

# isort: split
# Offered to other packages of scarches_plus; not public.
from ._estimation._eval_mode import evaluated as evaluated
from ._estimation._fit_labels import fit_classifier as fit_classifier
from ._estimation._fit_labels import fit_conditional as fit_conditional
from ._estimation._observe_cells import observe_cells as observe_cells
from ._estimation._train_classifier import train_classifier as train_classifier
from ._penalties._shared._activations import caught as caught
from ._penalties._shared._over_minibatches import over_minibatches as over_minibatches
from ._penalties._shared._penalty_sum import PenaltySum as PenaltySum
from ._penalties._shared._penalty_sum import name_terms as name_terms

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
    "LabelReplay",
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
