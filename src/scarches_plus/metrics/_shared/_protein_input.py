"""Check the protein matrix that protein metrics take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse

from scarches_plus import _arguments as check

if TYPE_CHECKING:
    from numpy.typing import NDArray


def checked_proteins(proteins: Any, n_cells: int | None = None, *, name: str = "proteins") -> NDArray[np.float64]:
    """Return the proteins as a finite matrix of at least two cells, as many as the embedding has."""
    values = check.array(name, proteins.toarray() if issparse(proteins) else proteins)
    if values.ndim != 2 or len(values) < 2 or not values.shape[1]:
        message = (
            f"{name} must have shape (cells, proteins), at least 2 cells and 1 protein; its shape is {values.shape}"
        )
        raise ValueError(message)
    if n_cells is not None and len(values) != n_cells:
        message = f"{name} has {len(values)} rows and embedding {n_cells}: give the cells whose proteins were measured"
        raise ValueError(message)
    if n_bad := int((~np.isfinite(values)).any(axis=1).sum()):
        message = f"{name} has missing or infinite values in {n_bad} of {len(values)} cells: remove these cells first"
        raise ValueError(message)
    return values
