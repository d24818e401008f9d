"""Tell prototypes, which stand for many cells each, from cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _keys

if TYPE_CHECKING:
    from anndata import AnnData


def are_prototypes(adata: AnnData) -> bool:
    """Return whether rows, or some, are prototypes (:func:`scarches_plus.tl.reference_prototypes`), not cells."""
    return bool(adata.uns.get(_keys.UNS, {}).get(_keys.PROTOTYPES))


def refuse_prototypes(name: str, adata: AnnData | None, instead: str) -> None:
    """Refuse prototypes where each row counts as a cell.

    Raises
    ------
    ValueError
        If they are prototypes; ``name`` is that of the argument, ``instead`` says what to pass.
    """
    if adata is not None and are_prototypes(adata):
        message = f"{name} holds prototypes, each of which would count as one cell: {instead}"
        raise ValueError(message)
