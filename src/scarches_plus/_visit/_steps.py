"""Take the steps of a visit: look for novel cells, transfer labels, find the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import tl
from scarches_plus._cells import counts_layer
from scarches_plus._text import for_line

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData

    from scarches_plus._reference_map import ReferenceMap
    from scarches_plus._reference_summary import ReferenceSummary

    from ._known import Known


def find_novel(
    adata: AnnData,
    known: Known,
    labels_key: str,
    *,
    layer: str | None = None,
    unlabelled: Collection[Any] | None = None,
    **options: Any,
) -> str:
    """Look for novel cells by the summary, or by cells with counts; return why that cannot be done, ``""`` if it was.

    Parameters
    ----------
    adata
        Query with raw counts.
    known
        The reference.
    labels_key
        Column of labels in its cells.
    layer
        Layer of the query with raw counts; ``None`` means that of the model, as for a mapping.
    unlabelled
        Words in it that are no label; a summary knows its labels.
    **options
        Of :func:`scarches_plus.tl.detect_novel`.
    """
    spec, cells = known.model.spec, known.cells
    options |= {"layer": counts_layer(layer, spec.layer)}
    try:
        if known.summary is not None and known.summary.profiles is not None:
            tl.detect_novel(adata, known.summary, **options)
        elif cells is None or not cells.n_vars or (cells.X is None and not cells.layers):
            return "the reference carries neither label profiles nor cells with counts"
        elif spec.batch_key not in cells.obs or labels_key not in cells.obs:
            return "the reference's cells have no column of batches, or of labels"
        else:
            where = {"batch_key": spec.batch_key, "reference_layer": known.counts_layer, "unlabelled": unlabelled}
            tl.detect_novel(adata, cells, labels_key, **where, **options)
    except ValueError as error:
        return for_line(error)
    return ""


def consensus_of(known: Known, labels_key: str) -> ReferenceSummary | None:
    """Return the summary if its classifier was fitted beside the vote on these labels, else ``None``."""
    classifier = None if known.summary is None else known.summary.classifier
    if classifier is None or classifier.vote is None or classifier.labels_key != labels_key:
        return None
    return known.summary if classifier.vote["space"] == known.model.state.space else None


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
    summary = consensus_of(known, labels_key)
    if summary is not None and summary.classifier is not None and summary.classifier.vote is not None:
        options |= {name: summary.classifier.vote[name] for name in ("k", "kernel")}
    tl.transfer_labels(adata, known.source_of(labels_key), labels_key, classifier=summary, **options)
    return summary is not None


def picture_of(
    known: Known, labels_key: str, *, unlabelled: Collection[Any] | None = None, drawn: str = "X_umap"
) -> ReferenceMap | None:
    """Return the map of a reference, ``None`` if there is none.

    It is that of its cells if they have a picture, or that of its summary, or a UMAP of its cells that is made now.
    """
    cells, kept = known.cells, None if known.summary is None else known.summary.map
    if cells is None or (drawn not in cells.obsm and kept is not None):
        return kept
    key = labels_key if labels_key in cells.obs else None
    return tl.reference_map(cells, basis=drawn, labels_key=key, unlabelled=unlabelled if key else None)
