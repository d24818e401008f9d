"""Hold scANVI's classifier to what the reference's said of its cells, by distillation on replayed cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from scarches_plus.train._estimation._eval_mode import evaluated
from scarches_plus.train._estimation._train_classifier import label_weights
from scarches_plus.train._penalties._shared._sampled_cells import Rehearsal

from .penalty import Penalty, refuse_unless_reference_moves

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from scarches_plus.train._memory.anchors import Anchors

    from .penalty import Setting, Step

#: Cells drawn from each component of a summary.
_PER_COMPONENT = 100


@dataclass(frozen=True, kw_only=True)
class LabelReplay(Penalty):
    r"""Knowledge distillation on replayed cells: labels that the reference's classifier gave shall stay.

    Mapping trains scANVI's classifier on unlabelled cells, which agree with each other about as well if it forgets some
    of its labels. Before training, the reference draws counts: from the posteriors that :func:`store_anchors` kept or,
    where there are none, from the mixtures of :func:`summarize_reference`, which are no single cells. In each step some
    of these cells are seen again, those of every label alike. The term is the mean over them of

    .. math::
        KL(q_{ref}(y | \tilde x) \,\|\, q(y | \tilde x))

    with the classifier's probabilities :math:`q(y|x)` at the posterior mean. It is 0 as long as the model has not
    moved.

    Parameters
    ----------
    weight
        Factor of the term. The default is the weight of scANVI's classification loss.
    n_cells
        Cells seen again in each step; all of them, weighted, if there are no more.
    warmup_epochs, warmup
        As in :class:`Penalty`.

    References
    ----------
    Hinton et al. 2015 (distillation); Shin et al. 2017 (generative replay); Xu et al. 2021 (scANVI).
    """

    name = "label_replay"

    weight: float = 50.0
    n_cells: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_whole(n_cells=1)

    def prepare(self, setting: Setting) -> _Replay:
        """Return what computes the term.

        Raises
        ------
        ValueError
            If the model has no classifier, or neither anchors nor a summary, or the reference cannot move.
        """
        if not hasattr(setting.module, "classifier"):
            message = (
                f"LabelReplay holds scANVI's classifier, and {type(setting.module).__name__} has none: leave it out"
            )
            raise ValueError(message)
        refuse_unless_reference_moves(self, setting)
        if setting.anchors is None and not setting.summaries:
            message = (
                "LabelReplay needs reference cells or their summary in the model's latent space: call "
                "sp.train.store_anchors(reference_model) or sp.train.summarize_reference(reference_model, labels_key) "
                "before mapping, where the reference's cells are at hand, or sp.train.carry_anchors(reference_model, "
                "model) or sp.train.carry_summaries(reference_model, model) after the model moved"
            )
            raise ValueError(message)
        return _Replay(self, Rehearsal(_remembered(setting), setting.module), setting.module)


def _remembered(setting: Setting) -> Anchors:
    if setting.anchors is not None:
        return setting.anchors
    summary = next(iter(setting.summaries.values()))
    return summary.draw(_PER_COMPONENT, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))


class _Replay:
    """Holds the drawn cells, and what the reference's classifier says of them."""

    def __init__(self, options: LabelReplay, rehearsal: Rehearsal, module: Module) -> None:
        self._options, self._rehearsal = options, rehearsal
        with torch.no_grad(), evaluated(module):
            parts = [_log_shares(module, rehearsal.encode(module, rows)["qz"].loc) for rows in rehearsal.chunks()]
        self._before = torch.cat(parts).cpu()
        labels = self._before.argmax(1)
        weights = label_weights(labels, balance=1.0)[labels]
        self._weights = weights / weights.sum()

    def __call__(self, step: Step) -> Tensor:
        n_cells = self._options.n_cells
        if n_cells < len(self._weights):
            rows = torch.multinomial(self._weights, n_cells, replacement=True)
            weights = torch.full((n_cells,), 1 / n_cells)
        else:
            rows, weights = torch.arange(len(self._weights)), self._weights
        device = step.inference["z"].device
        before = self._before[rows].to(device)
        with evaluated(step.module):
            now = _log_shares(step.module, self._rehearsal.encode(step.module, rows)["qz"].loc)
        return weights.to(device) @ (before.exp() * (before - now)).sum(1)


def _log_shares(module: Any, z: Tensor) -> Tensor:
    """Return the logarithms of the probabilities of classes, shape ``(n_cells, n_classes)``."""
    output: Tensor = module.classifier(z)
    if module.classifier.logits:
        return output.log_softmax(-1)
    return output.clamp(min=torch.finfo(output.dtype).tiny).log()
