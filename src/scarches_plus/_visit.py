"""Look for novel cells, label and place a mapped query, by all that its reference carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import hub, tl
from ._cells import counts_layer
from ._text import for_line

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from anndata import AnnData

    from ._reference_map import ReferenceMap
    from ._reference_summary import ReferenceSummary


def unused(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: this one, with underscores appended until it is free."""
    while name in taken:
        name += "_"
    return name


@dataclass(frozen=True)
class Known:
    """Reference that is open: its model, and cells and a summary if there are any.

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

    @property
    def counts_layer(self) -> str | None:
        """Layer of its cells with counts; ``None`` for ``X``, where the cells of a bundle have them."""
        layer: str | None = self.model.spec.layer
        return layer if self.cells is not None and layer in self.cells.layers else None

    def labels_key(self, asked: str | None) -> str:
        """Return the labels to transfer: those asked for, or those that the model trained on, or the first.

        Raises
        ------
        ValueError
            If the reference has none, or not these.
        """
        mixtures = list(self.model.state.summaries)
        found = [*mixtures, *(() if self.cells is None else self.cells.obs)]
        own = self.model.spec.labels_key
        if asked is None and (own in found or mixtures):
            return str(own if own in found else mixtures[0])
        if asked in found:
            return str(asked)
        if found:
            message = f"the reference has no labels {asked!r}" if asked else "the reference's labels have no known name"
            message += f": name a column of them, of {found[:20]}"
        else:
            message = "the reference carries no labels of its latent space"
            if self.summary is not None and self.summary.classifier is not None:
                message += "; its classifier labels by expression (--by expression, sp.tl.annotate)"
        raise ValueError(message)

    def source_of(self, labels_key: str) -> Any:
        """Return what votes on labels: cells that have them, else the model."""
        return self.model if self.cells is None or labels_key not in self.cells.obs else self.cells


def summary_at(path: str | Path) -> ReferenceSummary | None:
    """Return the summary of a bundle, ``None`` if it was saved without one.

    Raises
    ------
    BundleError
        If it is damaged.
    """
    held = hub.info(path).summary
    parts = (held.profiles, held.classifier, held.map)
    return None if all(part is None for part in parts) else hub.load_summary(path)


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
