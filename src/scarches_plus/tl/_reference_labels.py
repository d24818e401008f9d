"""The labels of a reference's cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def reference_labels(reference: AnnData, key: str, unknown_category: str) -> pd.Categorical:
    """Return the labels of the reference; cells without one have code -1.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no cell has a label.
    """
    import pandas as pd

    if key not in reference.obs:
        message = f"labels {key!r} not found in reference.obs, which holds {list(reference.obs.columns)}"
        raise KeyError(message)
    column = reference.obs[key]
    column = column.where(column.notna() & (column.astype(object) != unknown_category))
    labels = pd.Categorical(column).remove_unused_categories()
    labels = labels.rename_categories(str)
    if not len(labels.categories):
        message = f"no cell of the reference has a label in obs[{key!r}]"
        raise ValueError(message)
    return labels
