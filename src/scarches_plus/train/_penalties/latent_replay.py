"""Replay the reference from stored latent posteriors, without its counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.distributions import Normal, kl_divergence

from scarches_plus import _arguments as check
from scarches_plus.train._estimation._eval_mode import evaluated
from scarches_plus.train._penalties._shared._sampled_cells import Rehearsal

from .penalty import Penalty, refuse_unless_reference_moves

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from .penalty import Setting, Step


@dataclass(frozen=True, kw_only=True)
class LatentReplay(Penalty):
    r"""Latent replay and distillation: what the reference did with its cells, the query's model shall still do.

    Before training, the reference decodes the posteriors that :func:`store_anchors` kept, and draws counts: cells that
    look like the reference's and are nobody's. In each step some of them are seen again. The term is, as a mean over
    these cells,

    .. math::
        KL(q_{ref}(z|\tilde x) \,\|\, q(z|\tilde x)) + d \sum_g \ell \rho^{ref}_g \log(\rho^{ref}_g / \rho_g)

    the first for the encoder, the second for the decoder, with library size :math:`\ell` and expected expression
    :math:`\rho` of the stored posteriors. It is 0 as long as the model has not moved.

    Parameters
    ----------
    weight
        Factor of the term.
    n_cells
        Cells seen again in each step.
    distillation
        Factor :math:`d` of the decoder's part; 0 leaves it out.
    warmup_epochs, warmup
        As in :class:`Penalty`.

    References
    ----------
    CLCVAE 2022, limitation 2 (raw reference cells should not be needed); Shin et al. 2017 (generative replay); Hinton
    et al. 2015 (distillation).
    """

    name = "latent_replay"

    n_cells: int = 128
    distillation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_whole(n_cells=1)
        check.number("distillation", self.distillation, least=0)

    def prepare(self, setting: Setting) -> _Replay:
        """Return what computes the term.

        Raises
        ------
        ValueError
            If the model has no anchors, or the reference cannot move.
        """
        refuse_unless_reference_moves(self, setting)
        if setting.anchors is None:
            message = (
                "LatentReplay needs posteriors of reference cells in the model's latent space: call "
                "sp.train.store_anchors(reference_model) before mapping, where the reference's cells are at hand, or "
                "sp.train.carry_anchors(reference_model, model) after the model moved"
            )
            raise ValueError(message)
        return _Replay(self, Rehearsal(setting.anchors, setting.module), setting.module)


class _Replay:
    """Holds the drawn cells, and what the reference makes of them."""

    def __init__(self, options: LatentReplay, rehearsal: Rehearsal, module: Module) -> None:
        self._options, self._rehearsal = options, rehearsal
        with torch.no_grad(), evaluated(module):
            posteriors = [rehearsal.encode(module, rows)["qz"] for rows in rehearsal.chunks()]
        self._mean, self._scale = (
            torch.cat([getattr(one, name).cpu() for one in posteriors]) for name in ("loc", "scale")
        )

    def __call__(self, step: Step) -> Tensor:
        device = step.inference["z"].device
        rows = torch.randperm(len(self._rehearsal))[: self._options.n_cells]
        with evaluated(step.module):
            before = Normal(self._mean[rows].to(device), self._scale[rows].to(device))
            term = kl_divergence(before, self._rehearsal.encode(step.module, rows)["qz"]).sum(1).mean()
            if self._options.distillation:
                now = self._rehearsal.decode(step.module, rows).scale
                expected = self._rehearsal.expression[rows].to(device)
                tiny = torch.finfo(now.dtype).tiny
                divergence = (expected * (expected.clamp(min=tiny).log() - now.clamp(min=tiny).log())).sum(1)
                sizes = self._rehearsal.library_sizes(rows).to(device)
                term = term + self._options.distillation * (sizes * divergence).mean()
        return term  # type: ignore[no-any-return]
