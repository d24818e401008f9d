"""Reading columns of ``obs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._text import for_line

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def column(adata: AnnData, key: str, fix: str) -> pd.Series:
    """The column `key` of ``obs``, or an error that says how to get it."""
    if key not in adata.obs:
        message = f"obs has no column {key!r}: {fix}. It has: {', '.join(map(for_line, adata.obs.columns))}"
        raise KeyError(message)
    return adata.obs[key]


def categorical(values: pd.Series) -> pd.Series:
    """The labels as strings, as a categorical with the categories that occur, in their order."""
    import pandas as pd

    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object).astype("category")
    return values.cat.rename_categories(list(values.cat.categories.astype(str))).cat.remove_unused_categories()
