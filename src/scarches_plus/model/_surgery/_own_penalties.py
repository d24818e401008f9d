"""Choose the penalties that a surgery brings along by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._logging import logger
from scarches_plus.module import SQUARED_ERRORS
from scarches_plus.train import LabelReplay

if TYPE_CHECKING:
    from scarches_plus.model import SCANVI, SCVI, TOTALVI
    from scarches_plus.train import Penalty


def own_penalties(mapped: SCVI | SCANVI | TOTALVI) -> tuple[Penalty, ...]:
    """Return the penalties that a query model's surgery brings along, beside those that a user names.

    Where scANVI's classifier, or what it reads, trains on a query without labels, nothing says what its labels mean:
    :class:`~scarches_plus.train.LabelReplay` holds it, if the model carries anchors or a summary of its latent space.

    Parameters
    ----------
    mapped
        Query model, right after :meth:`load_query_data`.
    """
    surgery = mapped.surgery
    if surgery is None or surgery.strategy == "condition" or not hasattr(mapped.module, "classifier"):
        return ()
    if len(mapped._labeled_indices):  # labels of the query say it
        return ()
    state = mapped.state
    if getattr(mapped.module, "gene_likelihood", None) in SQUARED_ERRORS:
        logger.warning(
            "nothing holds the classifier, which may forget labels: counts cannot be drawn from a squared error of "
            "expression. Trust sp.tl.transfer_labels instead of predict, or map with "
            "strategy='condition'"
        )
        return ()
    if state.anchors is None and not state.summaries:
        logger.warning(
            "nothing holds the classifier, which may forget labels: the reference carries neither anchors nor a "
            "summary. Call sp.train.summarize_reference(reference_model, labels_key) or "
            "sp.train.store_anchors(reference_model) before mapping, or trust sp.tl.transfer_labels instead of predict"
        )
        return ()
    summarized = {label for summary in state.summaries.values() for label in summary.labels}
    if state.anchors is None and (rare := sorted(set(mapped.classes) - summarized)):  # type: ignore[union-attr]
        logger.warning(
            "nothing holds what the classifier says of %s, which the summary leaves out for want of cells: call "
            "sp.train.store_anchors(reference_model) before mapping, or trust sp.tl.transfer_labels for them",
            rare,
        )
    return (LabelReplay(),)
