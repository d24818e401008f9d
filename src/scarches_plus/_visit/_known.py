"""Open a reference with all that it carries: model, cells and summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scarches_plus import _keys, hub, tl
from scarches_plus._cell_files import read_cells
from scarches_plus.bundle import BUNDLE, layout_at

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

    from scarches_plus._reference_summary import ReferenceSummary

#: The reference's cells beside its model, as the command build writes them.
REFERENCE = "reference.h5ad"


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
        own = self.model.spec.labels_key
        classified = [own] if own and hasattr(self.model, "classes") else []
        found = [*mixtures, *classified, *(() if self.cells is None else self.cells.obs)]
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


def open_known(path: Path) -> Known:
    """Open the reference at a path, with the cells that lie in it or beside it, embedded.

    Raises
    ------
    FileNotFoundError
        If there is no model.
    ValueError
        If it is damaged.
    """
    bundled = layout_at(path) == BUNDLE
    cells = _cells_at(path, bundled=bundled)
    model = hub.load(path)
    if cells is not None and _keys.EMBEDDING not in cells.obsm:
        tl.embed(cells, model)
    return Known(model, cells, summary_at(path) if bundled else None)


def _cells_at(path: Path, *, bundled: bool) -> AnnData | None:
    """Return the cells of a model, ``None`` if it came without any."""
    if (path / REFERENCE).is_file():
        return read_cells(path / REFERENCE)
    try:
        return hub.load_reference(path) if bundled else hub.import_reference(path)
    except (ValueError, FileNotFoundError):
        return None


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
