"""Tell cells without a label: missing values, and the words that annotators write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from scarches_plus import _keys
from scarches_plus._logging import logger

from ._names import name_of

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray

#: Words that a message lists.
_LISTED = 10


def without_label(
    names: NDArray[np.object_],
    unlabelled: Collection[Any] | None = None,
    *,
    always: Collection[str] = (),
    known: Collection[str] = (),
    where: str = "labels",
) -> NDArray[np.bool_]:
    """Return which cells have no label, and log the words that were taken for none.

    Parameters
    ----------
    names
        Labels as :func:`names_of` returns them, shape ``(n_cells,)``.
    unlabelled
        Words that are no label, as they are spelt. ``None``: those of ``_keys.UNLABELLED``, in any case, with or
        without blanks around them.
    always
        The caller's own names of no label, whatever `unlabelled` is. Not logged.
    known
        Labels that count although they are among the package's words, such as those that a model knows.
    where
        What holds the labels, for the log.

    Returns
    -------
    numpy.ndarray
        Booleans, shape ``(n_cells,)``; missing values have no label.
    """
    column = pd.Series(names, dtype=object)
    sizes = column.value_counts()
    if unlabelled is None:
        words = [name for name in sizes.index if name.strip().casefold() in _keys.UNLABELLED and name not in known]
    else:
        words = [name for name in sizes.index if name in set(map(name_of, unlabelled))]
    told = [name for name in words if name not in {*always, _keys.UNKNOWN}]
    if told:
        logger.warning(
            "%d of %d cells count as cells without a label: %s are no labels in %s; unlabelled=() lets them count",
            sizes[told].sum(), len(names), told[:_LISTED], where,
        )  # fmt: skip
    return (column.isna() | column.isin([*words, *always])).to_numpy()
