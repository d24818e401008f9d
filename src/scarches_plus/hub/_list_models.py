"""List the models of all indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._text import for_line

from ._indexes._index import read_indexes
from ._indexes._known_references import KnownReference, known_references

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


_COLUMNS = ("name", "version", "title", "species", "tissue", "recipe", "model", "cells", "genes", "license", "doi")


def list_models(
    *,
    known: bool = False,
    index: Sequence[str | Path] | str | Path = (),
    cache_dir: str | Path | None = None,
    offline: bool = False,
) -> pd.DataFrame:
    """Fetch all indexes, and return a table of their models, with a warning of each index that cannot be read.

    Parameters
    ----------
    known
        List references that others published instead, without fetching anything: what the package knows of them, where
        they lie, and how far that was verified. Those that are openable open by their address.
    index, cache_dir, offline
        As in :func:`pull`.

    Returns
    -------
    pandas.DataFrame
        A row for each version of each model, with its labels, their number, its size in bytes and the index it is from;
        with ``known`` a row for each published reference, numbers of cells and genes missing where they are not known.

    Raises
    ------
    BundleError
        If a file given as ``index`` is none.
    ValueError
        If ``known`` and ``index`` are both given.
    """
    check.flags(known=known)
    if known:
        if index:
            message = "known=True lists what others published, which no index= lists; leave one of them out"
            raise ValueError(message)
        table = pd.DataFrame([one.model_dump() for one in known_references()], columns=[*KnownReference.model_fields])
        return table.astype({"cells": "Int64", "genes": "Int64"})
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
