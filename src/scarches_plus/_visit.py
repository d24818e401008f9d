"""Look for novel cells, label and place a mapped query, by all that its reference carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import tl
from ._text import for_line

if TYPE_CHECKING:
    from anndata import AnnData

    from ._reference_map import ReferenceMap
    from ._reference_summary import ReferenceSummary


@dataclass(frozen=True)
class Known:
    """What is at hand of a reference.

    Attributes
    ----------
    model
        Its model.
    cells
        Its cells with their embedding, and counts if there are any; ``None`` if they stay at home.
    summary
        Its summary; ``None`` without one.
    """

    model: Any
    cells: AnnData | None = None
    summary: ReferenceSummary | None = None

    def labels_key(self, asked: str | None) -> str:
        """Return the labels to transfer: those asked for, or those that the model trained on, or the first.

        Raises
        ------
        ValueError
            If the reference has none, or not these.
        """
        found = list(self.cells.obs) if self.cells is not None else list(self.model.state.summaries)
        own = self.model.spec.labels_key
        first = own if own in found else next(iter(self.model.state.summaries), None)
        if asked is None and first in found:
            return str(first)
        if asked not in found:
            what = "no labels" if asked is None else f"no labels {asked!r}"
            message = f"the reference has {what}; name a column of labels, of {found[:20]}"
            raise ValueError(message)
        return str(asked)


def find_novel(adata: AnnData, known: Known, labels_key: str, **options: Any) -> str:
    """Look for novel cells by the summary, or by cells with counts; return why that cannot be done, ``""`` if it was.

    Parameters
    ----------
    adata
        Query with raw counts.
    known
        The reference.
    labels_key
        Column of labels in its cells.
    **options
        Of :func:`scarches_plus.tl.detect_novel`.
    """
    batch_key, cells = known.model.spec.batch_key, known.cells
    try:
        if known.summary is not None and known.summary.profiles is not None:
            tl.detect_novel(adata, known.summary, **options)
        elif cells is None or cells.X is None or not cells.n_vars:
            return "the reference carries neither label profiles nor cells with counts"
        elif batch_key not in cells.obs:
            return "the reference's cells have no column of batches"
        else:
            tl.detect_novel(adata, cells, labels_key, batch_key=batch_key, **options)
    except ValueError as error:
        return for_line(error)
    return ""


def consensus_of(known: Known, labels_key: str) -> ReferenceSummary | None:
    """Return the summary if its classifier can stand beside the vote on these labels, else ``None``."""
    summary = known.summary
    classifier = None if summary is None else summary.classifier
    if classifier is None or classifier.vote is None or classifier.labels_key != labels_key:
        return None
    return summary


def transfer(adata: AnnData, known: Known, labels_key: str, **options: Any) -> bool:
    """Transfer labels, by the consensus of vote and classifier where there is one; say whether there was.

    Parameters
    ----------
    adata
        Mapped query.
    known
        The reference.
    labels_key
        Its labels.
    **options
        Of :func:`scarches_plus.tl.transfer_labels`.
    """
    classifier = consensus_of(known, labels_key)
    source = known.model if known.cells is None else known.cells
    tl.transfer_labels(adata, source, labels_key, classifier=classifier, **options)
    return classifier is not None


def picture_of(known: Known, labels_key: str) -> ReferenceMap | None:
    """Return the map of a reference: that of its cells, or of its summary; ``None`` if it has neither."""
    if known.cells is not None:
        return tl.reference_map(known.cells, labels_key=labels_key)
    return None if known.summary is None else known.summary.map
