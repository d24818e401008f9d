"""The count matrix of an AnnData, however it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData


def counts_layer(layer: str | None, reference: str | None) -> str | None:
    """Return the layer to read: the reference's unless another is named, ``None`` for ``X``."""
    named = reference if layer is None else layer
    return None if named == "X" else named


def counts_of(adata: AnnData, layer: str | None) -> Any:
    """Return the matrix of a layer (``None``: ``X``) in memory: CSR if it is sparse, else dense.

    A CSR matrix or dense array comes back as it is, without a copy.

    Raises
    ------
    KeyError
        If there is no such layer or no ``X``.
    """
    if layer is not None and layer not in adata.layers:
        message = f"layer {layer!r} not found in adata.layers, which holds {sorted(filter(None, adata.layers))}; layer='X' means adata.X"
        raise KeyError(message)
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        message = "adata.X is empty; name the layer that holds raw counts with `layer=`"
        raise KeyError(message)
    if hasattr(matrix, "to_memory"):  # backed sparse data
        matrix = matrix.to_memory()
    elif not sparse.issparse(matrix) and not isinstance(matrix, np.ndarray):  # backed dense data
        matrix = np.asarray(matrix)
    if sparse.issparse(matrix) and not isinstance(matrix, sparse.csr_matrix):
        matrix = sparse.csr_matrix(matrix)
    return matrix


def stored_values(matrix: Any) -> np.ndarray:
    """Return the stored values of a matrix as one array: non-zeros if it is sparse, else all."""
    return matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()
