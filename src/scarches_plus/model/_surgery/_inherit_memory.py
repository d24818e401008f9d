"""Carry what a reference remembers into the latent space of a model that was mapped onto it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from warnings import warn

from scarches_plus.module import SQUARED_ERRORS
from scarches_plus.train import carry_anchors, carry_summaries

if TYPE_CHECKING:
    from scarches_plus.model import SCANVI, SCVI


def inherit_memory(mapped: SCVI | SCANVI, reference: SCVI | SCANVI, *, stacklevel: int = 2) -> None:
    """Carry anchors and summaries of labels from a reference to a trained query model.

    Parameters
    ----------
    mapped
        Query model, after its training; it is changed.
    reference
        Model that it was mapped onto.
    stacklevel
        Of the warning.

    Warns
    -----
    UserWarning
        If the latent space moved and anchors or summaries cannot be taken along (``gene_likelihood`` ``"mse"`` and
        ``"sse"``).
    """
    before = reference.state
    anchors = before.anchors is not None and before.anchors.space == before.space
    summaries = mapped.state.summaries  # surgery took along those of the reference's latent space
    moved = mapped.state.space != before.space
    if moved and getattr(reference.module, "gene_likelihood", None) in SQUARED_ERRORS:
        left = [*(["anchors"] if anchors else []), *(f"the summary of {key!r}" for key in sorted(summaries))]
        if left:
            message = (
                f"{' and '.join(left)} cannot be taken along: the latent space moved, and counts cannot be "
                "drawn from a squared error of expression. strategy='condition' keeps the space"
            )
            warn(message, UserWarning, stacklevel=stacklevel)
        mapped.forget("anchors", "summaries")
        return
    if anchors:
        carry_anchors(reference, mapped)
    if summaries:
        carry_summaries(reference, mapped)
