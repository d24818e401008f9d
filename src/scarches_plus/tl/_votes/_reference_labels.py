"""Read the label column of cells as text categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus._cells import column_of, name_of, names_of, without_label

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from anndata import AnnData
    from numpy.typing import NDArray


def reference_labels(
    reference: AnnData, key: str, unknown_category: str, unlabelled: Collection[Any] | None
) -> pd.Categorical:
    """Return the labels of the reference; cells without one have code -1.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no cell has a label, or two labels read the same.
    """
    labels = named_labels(column_of(reference.obs, key, "reference.obs"), unknown_category, unlabelled)
    if not len(labels.categories):
        message = f"no cell of the reference has a label in obs[{key!r}]"
        raise ValueError(message)
    return labels


def named_labels(column: pd.Series, unknown_category: str, unlabelled: Collection[Any] | None) -> pd.Categorical:
    """Return labels as text; cells without one, or with a word that means none, have code -1.

    Raises
    ------
    ValueError
        If two labels read the same.
    """
    where = f"obs[{column.name!r}]"
    nothing = without_label(names_of(column), unlabelled, always=[unknown_category], where=where)
    return categorical(column.mask(nothing))


def categorical(column: pd.Series) -> pd.Categorical:
    """Return the values that some cell has as text; cells without one have code -1.

    Raises
    ------
    ValueError
        If two labels read the same.
    """
    labels = pd.Categorical(column).remove_unused_categories()
    names = pd.Index([name_of(label) for label in labels.categories], dtype=object)
    if not names.is_unique:
        alike = labels.categories[names.duplicated(keep=False)].tolist()
        message = f"labels {alike} of {column.name!r} read the same: make them one, obs[{column.name!r}].astype(str)"
        raise ValueError(message)
    return labels.rename_categories(name_of)


def sizes_of(labels: pd.Categorical, n_cells: NDArray[np.int64]) -> dict[str, int]:
    """Return how many cells have each label, in the order of the labels; ``n_cells`` are those of each row."""
    named = labels.codes >= 0
    counts = np.bincount(labels.codes[named], n_cells[named], minlength=len(labels.categories)).astype(np.int64)
    return dict(zip(labels.categories, counts.tolist(), strict=True))
