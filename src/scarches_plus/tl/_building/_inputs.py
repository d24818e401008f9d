"""Open the cells that a reference is built of, and tell data modules, which have none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus.pp import concat_studies, open_cells

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

_COLLECTIONS = {"AnnCollection", "AnnCollectionView"}


def opened_cells(adata: Any, layer: str | None) -> AnnData | MuData:
    """Return cells as they are; those of a file with their counts left on disk, and several files as one."""
    if isinstance(adata, str | Path):
        return open_cells(adata)
    if isinstance(adata, list | tuple | Mapping) or type(adata).__name__ in _COLLECTIONS:
        return concat_studies(adata, layer=layer)
    check.cells("adata", adata, mudata=True)
    return adata  # type: ignore[no-any-return]


def is_data_module(value: Any) -> bool:
    """Tell a data module of scvi-tools' protocol.

    Raises
    ------
    TypeError
        If it has no registry.
    """
    if not hasattr(value, "train_dataloader"):
        return False
    registry = getattr(value, "registry", None)
    if not isinstance(registry, Mapping) or not {"setup_args", "field_registries"} <= set(registry):
        message = (
            "the data module has no registry of scvi-tools, by which models know its genes and batches: give it one, "
            "module.registry = model.adata_manager.registry of a model of some of the cells"
        )
        raise TypeError(message)
    return True


def refuse_without_cells(**given: tuple[Any, Any]) -> None:
    """Raise if an argument, given with its default, says something of cells, where there is a data module.

    Raises
    ------
    ValueError
        Naming them.
    """
    unused = [
        name
        for name, (value, default) in given.items()
        if value is not None and not (isinstance(value, str | tuple) and value == default)
    ]
    if unused:
        message = f"a data module has no use for {unused}: leave them out, or set up its cells accordingly"
        raise ValueError(message)
