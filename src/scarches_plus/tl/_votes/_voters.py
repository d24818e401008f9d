"""Find who votes on the label of a cell, and with how many votes."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from scarches_plus import _keys
from scarches_plus._cells import are_prototypes
from scarches_plus.tl._provenance._reference_neighbors import neighbors_in

from ._neighbor_votes import kernel_weights, prototype_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from scarches_plus._neighbors import Neighbors
    from scarches_plus._reference_map import ReferenceMap

    from ._neighbor_votes import Kernel

#: ``obs`` column that says how many cells a prototype stands for.
N_CELLS = "n_cells"


@dataclass(frozen=True)
class Voters:
    """Nearest reference cells, or prototypes, of query cells.

    Attributes
    ----------
    neighbors
        Rows and distances, shape ``(n_query, k)``.
    n_cells
        Cells that each row of the reference stands for, shape ``(n_reference,)``; ``None`` for a reference of cells.
    n_dimensions
        Of the latent space.
    """

    neighbors: Neighbors
    n_cells: NDArray[Any] | None
    n_dimensions: int

    @property
    def prototypes(self) -> bool:
        """Return whether they are prototypes, which have a kernel of their own."""
        return self.n_cells is not None

    @property
    def k(self) -> int:
        """Return the number of voters of a query cell."""
        return int(self.neighbors.indices.shape[1])

    def weights(self, kernel: Kernel, rows: slice = slice(None)) -> NDArray[np.float64]:
        """Return the weight of each, shape ``(n, k)``; prototypes have a kernel of their own."""
        distances, sizes = self.neighbors.distances[rows], self.sizes(rows)
        if sizes is None:
            return kernel_weights(distances, kernel)
        return prototype_weights(distances, sizes, self.n_dimensions)

    def sizes(self, rows: slice = slice(None)) -> NDArray[np.int64] | None:
        """Return how many cells each stands for, shape ``(n, k)``; ``None`` for cells."""
        return None if self.n_cells is None else self.n_cells[self.neighbors.indices[rows]]


def voters_in(reference: AnnData, embedding: NDArray, use_rep: str, k: int) -> Voters:
    """Return the ``k`` nearest cells, or prototypes, of each cell of a query."""
    n_cells = n_cells_of(reference) if are_prototypes(reference) else None
    return Voters(neighbors_in(reference, embedding, use_rep, k), n_cells, embedding.shape[1])


def n_cells_of(reference: AnnData) -> NDArray[np.int64]:
    """Return how many cells each row stands for: 1 for a cell.

    Raises
    ------
    KeyError
        If prototypes have lost the column that says it.
    """
    if not are_prototypes(reference):
        return np.ones(reference.n_obs, dtype=np.int64)
    if N_CELLS not in reference.obs or not (reference.obs[N_CELLS].fillna(0) >= 1).all():
        message = (
            f"not every prototype has its number of cells in obs[{N_CELLS!r}], as after joining prototypes with cells: "
            "pass the prototypes as sp.tl.reference_prototypes made them"
        )
        raise KeyError(message)
    return reference.obs[N_CELLS].to_numpy(dtype=np.int64)


def prototypes(
    latent: NDArray, columns: dict[str, Any], n_cells: NDArray, use_rep: str, record: dict[str, Any]
) -> AnnData:
    """Return prototypes as AnnData without genes; ``record`` is of the embedding, empty if nothing is known of it."""
    obs = pd.DataFrame({**columns, N_CELLS: n_cells}, index=[f"prototype {number}" for number in range(len(latent))])
    found = AnnData(obs=obs, obsm={use_rep: np.asarray(latent, dtype=np.float32)})
    found.uns[_keys.UNS] = {_keys.PROTOTYPES: bool(np.max(n_cells) > 1)}
    if record:
        found.uns[_keys.UNS][_keys.EMBEDDINGS] = {use_rep: deepcopy(record)}
    return found


def points_of(picture: ReferenceMap, labels_keys: Sequence[str], use_rep: str) -> AnnData:
    """Return the points of a map as cells, or as prototypes.

    Raises
    ------
    ValueError
        If several names are given for its labels, or the map has none.
    """
    if len(labels_keys) != 1 or not picture.labels:
        has = "one column of labels" if picture.labels else "no labels: make it with labels_key"
        message = f"a map of a reference has {has}; labels_key is {list(labels_keys)}"
        raise ValueError(message)
    labels = pd.Categorical.from_codes(np.asarray(picture.of_label), list(picture.labels))  # type: ignore[call-overload]
    record = {} if picture.space is None else {"space": picture.space}
    return prototypes(picture.latent, {labels_keys[0]: labels}, picture.n_cells, use_rep, record)


def described(reference: AnnData) -> str:
    """Return how many cells a reference has, and by what they are represented."""
    if not are_prototypes(reference):
        return f"{reference.n_obs} cells"
    return f"{reference.n_obs} prototypes of {n_cells_of(reference).sum()} cells"
