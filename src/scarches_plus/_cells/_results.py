"""Refuse cells that cannot receive a result, before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def require_writable(adata: AnnData, *, copy: bool | None = False) -> None:
    """Raise if results could not be written into the cells in the end: a view of cells on disk takes none.

    Parameters
    ----------
    adata
        Cells.
    copy
        Whether the result goes into a copy; ``None`` if the verb offers none.

    Raises
    ------
    ValueError
        Saying what to do instead.
    """
    if copy or not (adata.isbacked and getattr(adata, "is_view", False)):
        return
    message = (
        "adata is a view of cells on disk, which cannot receive results; take these cells into memory first: "
        f"adata = adata.to_memory(){'' if copy is None else ', or pass copy=True'}"
    )
    raise ValueError(message)
