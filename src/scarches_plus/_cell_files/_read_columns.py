"""Read columns of cells, such as batches and types, from a table beside the counts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import _limits
from scarches_plus._files import unpacked
from scarches_plus._logging import logger

from ._kinds import kind_of, resolved
from ._layout import decoded

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

_SEPARATORS = "\t,;"


def add_columns(adata: AnnData, path: str | Path) -> None:
    """Add the columns of a table to ``obs``; its first column holds the names of the cells.

    Raises
    ------
    ValueError
        If it is not a table, names a cell twice, or lacks cells.
    OSError
        If it is not there or cannot be read.
    """
    path = resolved(path)
    if kind_of(path) != "table":
        message = f"{path} is not a table (.csv, .tsv) of columns of cells"
        raise ValueError(message)
    with unpacked(path) as file:
        _, text = decoded(path, file.read(_limits.COLUMNS_BYTES), whole=True)
    first = text.lstrip().split("\n", 1)[0]
    separator = max(_SEPARATORS, key=first.count)
    try:
        table = pd.read_csv(
            io.StringIO(text.lstrip("\ufeff")), sep=separator, index_col=0, dtype={0: str}, low_memory=False
        )
    except (ValueError, csv.Error) as error:
        message = f"{path} cannot be read as a table of columns: {error}"
        raise ValueError(message) from error
    table.index = table.index.astype(str).str.strip()
    if not len(table.columns):
        message = (
            f"{path} has one column only: the first names the cells, the further ones (such as batch) describe them"
        )
        raise ValueError(message)
    if table.index.has_duplicates:
        message = f"{path} names cell {table.index[table.index.duplicated()][0]!r} twice"
        raise ValueError(message)
    lacking = ~adata.obs_names.isin(table.index)
    if lacking.any():
        message = (
            f"{path} lacks {int(lacking.sum())} of {adata.n_obs} cells, such as {adata.obs_names[lacking][0]!r}; its "
            f"first column must hold their names, and holds {table.index[:2].tolist()}"
        )
        raise ValueError(message)
    for name in table.columns:
        if name in adata.obs:
            logger.info("column %r of the cells is replaced by that of %s", name, path)
        values = table.loc[adata.obs_names, name]
        adata.obs[str(name)] = pd.Categorical(values) if values.dtype.kind not in "iufb" else values.to_numpy()
