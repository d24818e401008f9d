"""Carry label summaries into the latent space of a model that moved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from scarches_plus.train._estimation._eval_mode import evaluated
from scarches_plus.train._estimation._reference_model import require_model
from scarches_plus.train._penalties._shared._sampled_cells import Rehearsal

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from scarches_plus.train._estimation._reference_model import ReferenceModel

    from .latent_summary import LatentSummary

#: Cells drawn from each component, for each latent dimension.
_PER_DIMENSION = 20
_FEWEST = 200


@torch.no_grad()
def carry_summaries(reference: ReferenceModel, mapped: ReferenceModel) -> dict[str, LatentSummary]:
    r"""Carry a reference's summaries into the latent space of a model that was mapped onto it and moved.

    Cells of no one are drawn from each component: latent variable, library size and batch. The reference decodes them
    into counts, which both models embed. How these embeddings differ says where each part of the component went; the
    affine map :math:`z \mapsto A z + b` nearest to it takes mean and covariance along, and what it leaves over is added
    to the covariance. Where nothing moved, nothing changes. :func:`scarches_plus.tl.map_query` does this where a model
    has summaries.

    Parameters
    ----------
    reference
        Model with summaries (:func:`summarize_reference`).
    mapped
        Model that was made from it by surgery, and trained. It then carries the new summaries.

    Returns
    -------
    dict
        Labels key to summary in the latent space of ``mapped``; where that is the reference's, the summaries as they
        were.

    Raises
    ------
    ValueError
        If the reference has no summaries, or was trained on since they were made.
    """
    require_model(reference, "reference")
    require_model(mapped, "mapped")
    own = reference.state.space
    summaries = {key: one for key, one in reference.state.summaries.items() if one.space == own}
    if not summaries:
        message = (
            "the reference has no summaries of its latent space to carry along; call "
            "sp.train.summarize_reference(reference_model, labels_key) once it is trained"
        )
        raise ValueError(message)
    space = mapped.state.space
    carried = {
        key: one if one.space == space else _moved(one, reference.module, mapped.module, space)
        for key, one in summaries.items()
    }
    mapped.remember(summaries=carried)
    return carried


def _moved(summary: LatentSummary, before: Module, after: Module, space: str) -> LatentSummary:
    n = max(_FEWEST, _PER_DIMENSION * summary.means.shape[1])
    with torch.random.fork_rng(devices=[]), evaluated(before), evaluated(after):
        torch.manual_seed(0)
        drawn = summary.draw(n, torch.Generator().manual_seed(0))
        rehearsal = Rehearsal(drawn, before)
        shift, variances = [], []
        for rows in rehearsal.chunks():
            old, new = (rehearsal.encode(module, rows)["qz"] for module in (before, after))
            shift.append((new.loc - old.loc).cpu())
            variances.append((new.scale.square() / old.scale.square()).cpu())
    shape = (len(summary), n, -1)
    start = drawn.z_mean.reshape(shape).double()
    end = start + torch.cat(shift).reshape(shape).double()
    means, covariances = zip(*map(_transport, summary.means, summary.covariances, start, end), strict=True)
    return replace(
        summary,
        means=torch.stack(means).float(),
        covariances=torch.stack(covariances).float(),
        z_var=summary.z_var * torch.cat(variances).reshape(shape).mean(1),
        space=space,
    )


def _transport(mean: Tensor, covariance: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and covariance under the affine map that takes ``start`` nearest to ``end``."""
    design = torch.cat([start, torch.ones(len(start), 1, dtype=start.dtype)], dim=1)
    solution = torch.linalg.lstsq(design, end - start).solution  # of the shift, so that no shift is no change
    turn = torch.eye(len(mean), dtype=start.dtype) + solution[:-1].T
    rest = end - start - design @ solution
    moved = turn @ covariance.double() @ turn.T + rest.T @ rest / len(rest)
    return mean.double() + solution[:-1].T @ mean.double() + solution[-1], (moved + moved.T) / 2
