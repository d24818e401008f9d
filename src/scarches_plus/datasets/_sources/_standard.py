"""Put counts, batches and labels of published cells where the verbs of this package look for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from scarches_plus import _keys

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

#: Values of a matrix that are looked at.
_SAMPLE = 100_000


def standard(adata: AnnData, batches: pd.Series, labels: pd.Series, *, source: str) -> AnnData:
    """Write ``obs["batch"]`` and ``obs["cell_type"]``, with colours of the labels, and make ``X`` a CSR of counts.

    Raises
    ------
    OSError
        If ``X`` does not hold whole numbers from 0: the file is another than this function knows.
    """
    require_counts(adata.X, source)
    adata.X = sparse.csr_matrix(adata.X, dtype=np.float32)
    published = str(labels.name)
    for key, values in (("batch", batches), ("cell_type", labels)):
        adata.obs[key] = values.astype(object).where(values.notna(), None).astype("category")
    if _keys.colors(published) in adata.uns and len(adata.uns[_keys.colors(published)]) == len(
        adata.obs["cell_type"].cat.categories
    ):
        adata.uns[_keys.colors("cell_type")] = adata.uns[_keys.colors(published)]
    return adata


def columns_of(adata: AnnData, names: tuple[str, ...], source: str) -> list[pd.Series]:
    """Return columns of ``obs``.

    Raises
    ------
    OSError
        If one is not there: the file is another than this function knows.
    """
    if lacking := [name for name in names if name not in adata.obs]:
        message = f"{source} has no obs columns {lacking}, but {list(adata.obs)}; it is another file than is known here"
        raise OSError(message)
    return [adata.obs[name] for name in names]


def require_counts(matrix: Any, source: str) -> None:
    """Raise OSError if a matrix has values other than whole numbers from 0."""
    values = np.asarray(matrix.data if sparse.issparse(matrix) else matrix).ravel()[:_SAMPLE]
    if len(values) and (values.min() < 0 or (values % 1 != 0).any()):
        message = f"{source} does not hold raw counts, such as {values[:3]}; it is another file than is known here"
        raise OSError(message)
