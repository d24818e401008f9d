"""Draw the fixed map of a reference, and place a query on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from scarches_plus import _keys as keys
from scarches_plus import _visit, tl
from scarches_plus._files import write_file
from scarches_plus.app._jobs._view import view_of

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus._visit import Known

#: Where pictures lie in cells that have one, and where a query's positions go.
BASIS = "X_umap"
POSITIONS = "X_map"
#: Cells of a query that its own map is drawn of, where the reference has none; the others are placed among them.
DRAWN_CELLS = 20_000
_NO_LABEL = 65_535


@dataclass(frozen=True)
class Picture:
    """A reference's map: a point for each of its cells, or for 20 of them and more.

    Attributes
    ----------
    map
        What places a query.
    points
        Positions, shape ``(n_cells, 2)``.
    codes
        Label of each, -1 for none.
    labels
        What the codes stand for.
    n_cells
        How many cells the points stand for.
    """

    map: Any
    points: np.ndarray
    codes: np.ndarray
    labels: tuple[str, ...]
    n_cells: int

    def write_view(self, file: Path) -> None:
        """Write the points as the page reads them."""
        label = np.where(self.codes < 0, _NO_LABEL, self.codes).astype(np.uint16)
        write_file(file, view_of({"xy": self.points.astype(np.float32), "label": label}, labels=list(self.labels)))


def picture_of(known: Known, labels_key: str, kept: Path) -> Picture | None:
    """Return the map of a reference, ``None`` if it has none; one that has to be drawn is kept in a file."""
    cells = known.cells
    drawn = cells is not None and BASIS not in cells.obsm
    if cells is not None and drawn and kept.is_file():
        cells.obsm[BASIS], drawn = np.load(kept, allow_pickle=False), False
    found = _visit.picture_of(known, labels_key)
    if found is None:
        return None
    if cells is not None and drawn and len(found.points) == cells.n_obs:  # not the anchors of a summary
        cells.obsm[BASIS] = found.points
        write_file(kept, lambda file: np.save(file, np.asarray(found.points, dtype=np.float32)))
    return Picture(
        found, np.asarray(found.points), np.asarray(found.of_label), tuple(found.labels), int(np.sum(found.n_cells))
    )


def place_query(adata: AnnData, picture: Picture | None, seed: int) -> None:
    """Write the positions of a query: on the reference's map, or on one of its own where there is none."""
    if picture is not None:
        tl.place(adata, picture.map, key_added=POSITIONS)
        return
    own = own_map(adata, seed)
    if adata.n_obs <= DRAWN_CELLS:
        adata.obsm[POSITIONS] = own.points
    else:
        tl.place(adata, own, key_added=POSITIONS)


def own_map(adata: AnnData, seed: int) -> Any:
    """Return a map of a query alone."""
    some = np.sort(np.random.default_rng(seed).permutation(adata.n_obs)[:DRAWN_CELLS])
    alone = AnnData(
        obs=adata.obs[[]].iloc[some], obsm={keys.EMBEDDING: adata.obsm[keys.EMBEDDING][some]}, uns=adata.uns
    )
    return tl.reference_map(alone, basis=BASIS, rng=seed)
