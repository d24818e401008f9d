"""Which models there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._index import read_indexes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

_COLUMNS = ("name", "version", "title", "species", "tissue", "recipe", "model", "cells", "genes", "license", "doi")


def list_models(*, index: Sequence[str | Path] | str | Path = (), offline: bool = False) -> pd.DataFrame:
    """Return a table of the models that all indexes list.

    Parameters
    ----------
    index
        Further indexes, as in :func:`pull`.
    offline
        Fetch nothing.

    Returns
    -------
    pandas.DataFrame
        A row for each version of each model, with its size in bytes, number of labels and the index it is from.

    Raises
    ------
    OSError
        If an index cannot be read.
    BundleError
        If it is no index.
    """
    import pandas as pd

    rows = [
        {name: getattr(one.entry, name) for name in _COLUMNS}
        | {
            "labels": ", ".join(one.entry.labels),
            "bytes": sum(file.size for file in one.entry.files.values()),
            "index": one.source,
        }
        for one in read_indexes(index, offline=offline)
    ]
    return pd.DataFrame(rows, columns=[*_COLUMNS, "labels", "bytes", "index"])
