"""List the models of all indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._text import for_line

from ._index import read_indexes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

_COLUMNS = ("name", "version", "title", "species", "tissue", "recipe", "model", "cells", "genes", "license", "doi")


def list_models(
    *, index: Sequence[str | Path] | str | Path = (), cache_dir: str | Path | None = None, offline: bool = False
) -> pd.DataFrame:
    """Fetch all indexes, and return a table of their models, with a warning of each index that cannot be read.

    Parameters
    ----------
    index, cache_dir, offline
        As in :func:`pull`.

    Returns
    -------
    pandas.DataFrame
        A row for each version of each model, with its labels, their number, its size in bytes and the index it is from.

    Raises
    ------
    BundleError
        If a file given as ``index`` is none.
    """
    import pandas as pd

    listing = read_indexes(index, cache_dir=cache_dir, offline=offline)
    listing.warn()
    rows = [
        {name: _shown(getattr(one.entry, name)) for name in _COLUMNS}
        | {
            "labels": for_line(", ".join(one.entry.labels)),
            "n_labels": len(one.entry.labels),
            "bytes": sum(file.size for file in one.entry.files.values()),
            "index": one.source,
        }
        for one in listing.models
    ]
    return pd.DataFrame(rows, columns=[*_COLUMNS, "labels", "n_labels", "bytes", "index"])


def _shown(value: object) -> object:
    return for_line(value) if isinstance(value, str) else value
