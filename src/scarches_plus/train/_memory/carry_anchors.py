"""Carry anchors into the latent space of a model that moved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from scarches_plus.train._estimation._eval_mode import evaluated
from scarches_plus.train._estimation._reference_model import require_model
from scarches_plus.train._penalties._shared._activations import caught
from scarches_plus.train._penalties._shared._sampled_cells import Rehearsal
from scarches_plus.train._penalties.penalty import LAYERS

if TYPE_CHECKING:
    from scarches_plus.train._estimation._reference_model import ReferenceModel

    from .anchors import Anchors


@torch.no_grad()
def carry_anchors(reference: ReferenceModel, mapped: ReferenceModel) -> Anchors:
    """Embed a reference's stored cells again with a model that was mapped onto it and moved, without their counts.

    The reference draws counts from the posteriors it kept; the mapped model embeds them. They stand for the reference
    in the new latent space, for penalties on the next query. :func:`scarches_plus.tl.map_query` does this where a model
    has anchors.

    Parameters
    ----------
    reference
        Model with anchors (:func:`store_anchors`).
    mapped
        Model that was made from it by surgery, and trained. It then carries the new anchors.

    Returns
    -------
    Anchors
        In the latent space of ``mapped``; where that is the reference's, the anchors as they were.

    Raises
    ------
    ValueError
        If the reference has no anchors, or was trained on since they were stored.
    """
    require_model(reference, "reference")
    require_model(mapped, "mapped")
    anchors = reference.state.anchors
    if anchors is None or anchors.space != reference.state.space:
        message = (
            "the reference has no anchors of its latent space to carry along; call "
            "sp.train.store_anchors(reference_model) once it is trained"
        )
        raise ValueError(message)
    if mapped.state.space != anchors.space:
        anchors = _embedded_again(anchors, reference, mapped)
    mapped.remember(anchors=anchors)
    return anchors


def _embedded_again(anchors: Anchors, reference: ReferenceModel, mapped: ReferenceModel) -> Anchors:
    with torch.random.fork_rng(devices=[]), evaluated(mapped.module):
        rehearsal = Rehearsal(anchors, reference.module)
        means, variances = [], []
        layers: dict[str, list[torch.Tensor]] = {layer: [] for layer in LAYERS}
        for rows in rehearsal.chunks():
            with caught(mapped.module, LAYERS) as activations:
                posterior = rehearsal.encode(mapped.module, rows)["qz"]
                rehearsal.decode(mapped.module, rows)
            means.append(posterior.loc.cpu())
            variances.append(posterior.scale.square().cpu())
            for layer, values in activations.items():
                layers[layer].append(values.cpu())
    return replace(
        anchors,
        z_mean=torch.cat(means),
        z_var=torch.cat(variances),
        activations={layer: torch.cat(values) for layer, values in layers.items()},
        space=mapped.state.space,
    )
