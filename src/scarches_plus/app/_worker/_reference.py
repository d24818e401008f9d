"""Open a reference: its model, card, labels, cells if any, and map."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _keys as keys
from scarches_plus import _visit, hub, load, tl
from scarches_plus._cell_files import read_cells
from scarches_plus._cells import names_of
from scarches_plus._visit import REFERENCE, Known
from scarches_plus.app._jobs._stamp import stamp_of
from scarches_plus.bundle import BUNDLE, layout_at

from ._map import BASIS, Picture, picture_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

#: Opened references that a process holds.
_MOST_HELD = 2


@dataclass
class Reference:
    """A reference that is open.

    Attributes
    ----------
    what
        What names it.
    path
        Where it lies.
    known
        Its model, its cells with their embedding if it came with any, and its summary if it has one.
    card
        What it says about itself.
    opens_cells
        Python that opens its cells.
    stamp
        What tells its files from those that take their place.
    """

    what: str
    path: Path
    known: Known
    card: dict[str, Any]
    opens_cells: str = "sp.hub.load_reference(REFERENCE)"
    stamp: str = ""
    pictures: dict[str, Picture | None] = field(default_factory=dict)

    @property
    def model(self) -> Any:
        """Its model."""
        return self.known.model

    @property
    def cells(self) -> AnnData | None:
        """Its cells, if it came with any."""
        return self.known.cells

    @property
    def profiles(self) -> bool:
        """True if it carries label profiles."""
        return self.known.summary is not None and self.known.summary.profiles is not None

    @property
    def labels_keys(self) -> list[str]:
        """Names of labels that can be transferred; those that the model was trained with come first."""
        found = list(self.model.state.summaries)
        if self.cells is not None:
            usual = (self.model.spec.labels_key, *(key for key in self.cells.obs if _are_labels(self.cells, key)))
            found = [key for key in usual if key in self.cells.obs]
        first = self.model.spec.labels_key
        return sorted(dict.fromkeys(found), key=lambda key: key != first)

    def labels_key(self, asked: str | None) -> str:
        """Return the labels to transfer.

        Raises
        ------
        ValueError
            If the reference has none, or not these.
        """
        known = self.labels_keys
        if not known:
            message = f"{self.what} carries no labels: neither a summary of them nor cells with a column of labels"
            raise ValueError(message)
        if asked is not None and asked not in known:
            message = f"{self.what} has no labels {asked!r}; it has {known}"
            raise ValueError(message)
        return asked or known[0]

    def composition(self, labels_key: str) -> dict[str, int]:
        """Return how many cells of the reference each label has."""
        if self.cells is not None and labels_key in self.cells.obs:
            counts = self.cells.obs[labels_key].value_counts()
            return {str(label): int(n) for label, n in counts.items() if n}
        summary = self.model.state.summaries[labels_key]
        of_label, n_cells = np.asarray(summary.of_label), np.asarray(summary.n_cells)
        return {label: round(float(n_cells[of_label == code].sum())) for code, label in enumerate(summary.labels)}

    def picture(self, labels_key: str, folder: Path) -> Picture | None:
        """Return its map, ``None`` if it has neither one nor cells to draw one of."""
        if labels_key not in self.pictures:
            self.pictures[labels_key] = picture_of(self.known, labels_key, folder / f"{self.name}.npy")
        return self.pictures[labels_key]

    @property
    def name(self) -> str:
        """Name of what is kept of this reference: another for each content."""
        n_cells = 0 if self.cells is None else self.cells.n_obs
        told = f"{self.path.resolve()} {self.model.state.space} {n_cells} {self.stamp}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]


_held: dict[str, Reference] = {}


def open_reference(what: str) -> Reference:
    """Return what names a reference, opened; from the net nothing is fetched.

    Raises
    ------
    ValueError
        If its model is of several modalities.
    """
    stamp = stamp_of(what)
    if what in _held and _held[what].stamp == stamp:
        _held[what] = _held.pop(what)
        return _held[what]
    _held.pop(what, None)
    path = _located(what)
    model = load(path, accelerator="cpu")
    if model.spec.modalities:
        message = (
            f"{what} is a model of {' and '.join(model.spec.modalities)}, and the page maps genes alone: use the "
            "commands map, transfer and novel"
        )
        raise ValueError(message)
    card: dict[str, Any] = {"title": path.name}
    cells, summary, opens = None, None, "sp.hub.load_reference(REFERENCE)"
    if layout_at(path) == BUNDLE:
        manifest = hub.info(path)
        card = manifest.card.model_dump(mode="json") | {"cells": manifest.training.n_cells}
        summary = _visit.summary_at(path)
        if manifest.reference is not None and {"latent", "labels"} <= set(manifest.reference.holds):
            cells = hub.load_reference(path)
    elif (path / REFERENCE).is_file():
        cells, opens = read_cells(path / REFERENCE), f"anndata.read_h5ad({str(path / REFERENCE)!r})"
    else:
        try:
            cells, opens = hub.import_reference(path), "sp.hub.import_reference(REFERENCE)"
        except FileNotFoundError:
            cells = None
    if cells is not None and keys.EMBEDDING not in cells.obsm:
        tl.embed(cells, model)
        opens += "\nsp.tl.embed(cells, model)"
    while len(_held) >= _MOST_HELD:
        del _held[next(iter(_held))]
    _held[what] = Reference(what, path, Known(model, cells, summary), card, opens, stamp)
    return _held[what]


def list_references(tell: Callable[..., None]) -> list[dict[str, Any]]:
    """Return the models that indexes of this machine list, the real ones first; from the net nothing is fetched."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = hub.list_models(offline=True)
    rows = table.sort_values("tissue", key=lambda tissue: tissue == "simulated", kind="stable")
    return [
        {
            "what": f"{row['name']}@{row['version']}",
            "title": str(row["title"]),
            **{key: str(row[key]) for key in ("species", "tissue", "cells", "genes", "n_labels")},
        }
        for row in rows.to_dict("records")
    ]


def describe(what: str, maps: str, labels_key: str | None, tell: Callable[..., None]) -> dict[str, Any]:
    """Return what the page shows of a reference, and write its map for the page.

    Parameters
    ----------
    what
        What names it.
    maps
        Folder for maps.
    labels_key
        Labels to show.
    tell
        Is told what takes long.
    """
    reference = open_reference(what)
    key = reference.labels_key(labels_key)
    folder = Path(maps)
    if reference.cells is not None and BASIS not in reference.cells.obsm:
        tell("drawing the map of the reference, once", 0.0, None)
    picture = reference.picture(key, folder)
    spec = reference.model.spec
    shown: dict[str, Any] = {"map": None}
    if picture is not None:
        file = folder / f"{reference.name}.{hashlib.sha256(key.encode()).hexdigest()[:8]}.view"
        picture.write_view(file)
        shown = {"map": file.name, "map_labels": list(picture.labels), "map_cells": picture.n_cells}
    return {
        "what": what,
        "card": reference.card,
        "labels_key": key,
        "labels_keys": reference.labels_keys,
        "composition": reference.composition(key),
        "batch_key": spec.batch_key,
        "batches": list(spec.batches)[:1_000],
        "n_genes": len(spec.var_names),
        "genes": list(spec.var_names[:5]),
        "encodes_batch": bool(spec.encodes_batch),
        "model": type(reference.model).__name__,
        "recipe": reference.model.state.recipe,
        "novelty": reference.profiles or _has_counts(reference),
        "has_cells": reference.cells is not None,
        **shown,
    }


def _located(what: str) -> Path:
    """Return where a model lies on this machine, with its cells if they were fetched."""
    try:
        return hub.local_path(what, offline=True, with_cells=True)
    except OSError:
        return hub.local_path(what, offline=True)


def _has_counts(reference: Reference) -> bool:
    return reference.cells is not None and reference.cells.X is not None and reference.cells.n_vars > 0


def _are_labels(cells: AnnData, key: str) -> bool:
    column = cells.obs[key]
    if column.dtype.kind in "biufc":
        return False
    return 1 < len(set(names_of(column))) <= min(1_000, max(2, cells.n_obs // 2))
