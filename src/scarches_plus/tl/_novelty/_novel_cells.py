"""Read which cells ``detect_novel`` called novel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


def novel_cells(adata: AnnData, key: str) -> NDArray:
    """Return which cells a column calls novel.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If it is not boolean.
    """
    if key not in adata.obs:
        message = f"adata.obs has no column {key!r}: call sp.tl.detect_novel(adata, reference, labels_key, ...) first"
        raise KeyError(message)
    if adata.obs[key].dtype != bool:
        message = f"obs[{key!r}] must be boolean, as sp.tl.detect_novel writes it, not {adata.obs[key].dtype}"
        raise ValueError(message)
    return adata.obs[key].to_numpy()
