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
        If the latent space moved and a summary cannot be taken along (``gene_likelihood`` ``"mse"`` and ``"sse"``).
    """
    before = reference.state
    if before.anchors is not None and before.anchors.space == before.space:
        carry_anchors(reference, mapped)
    if not mapped.state.summaries:  # surgery took along those of the reference's latent space
        return
    moved = mapped.state.space != before.space
    if moved and getattr(reference.module, "gene_likelihood", None) in SQUARED_ERRORS:
        message = (
            f"the summary of {sorted(mapped.state.summaries)} stays behind: the latent space moved, and a squared "
            "error of expression is no distribution of counts to draw cells from; strategy='condition' keeps space and "
            "summary"
        )
        warn(message, UserWarning, stacklevel=stacklevel)
        mapped.remember(summaries={})
    else:
        carry_summaries(reference, mapped)
