"""Read columns of ``obs`` for figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus._cells import column_not_found, column_of, name_of, names_of

if TYPE_CHECKING:
    from anndata import AnnData


def column(adata: AnnData, key: str, fix: str) -> pd.Series:
    """Return the column `key` of ``obs``, or raise an error that says how to get it."""
    if key not in adata.obs:
        message = f"{column_not_found(adata.obs, key)}; {fix}"
        raise KeyError(message)
    return column_of(adata.obs, key)


def categorical(values: pd.Series) -> pd.Series:
    """Return the labels as a categorical of strings, with the categories that occur, in their order."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object).astype("category")
    names = list(dict.fromkeys(name_of(value) for value in values.cat.categories))
    named = pd.Series(pd.Categorical(names_of(values), categories=names), index=values.index, name=values.name)
    return named.cat.remove_unused_categories()
