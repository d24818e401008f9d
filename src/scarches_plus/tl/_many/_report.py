"""Write the table and the report of many queries."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus._files import write_file
from scarches_plus._html import heading, listing, page, table_of, verdict
from scarches_plus._text import for_csv

from ._tasks import DONE, FAILED, KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TABLE, REPORT = "queries.csv", "report.html"
#: Labels that the table of shares has columns for; the others are one.
_MOST_LABELS = 30
#: Queries that the verdict names, and the share of unknown or novel cells from which it does.
_MOST_NAMES = 3
_MANY = 0.25


def table_of_rows(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows as a table."""
    table = pd.DataFrame(rows)
    return table.astype({"n_cells": "Int64", "unknown": float, "novel": float, "seconds": float})


def write_summary(table: pd.DataFrame, folder: Path, settings: Mapping[str, object]) -> None:
    """Write the table as CSV, with lists and counts as JSON, and the report as one HTML page."""
    plain = table.copy()
    for name in ("labels", "notes", "warnings"):
        plain[name] = [json.dumps(value) for value in table[name]]
    write_file(folder / TABLE, lambda file: for_csv(plain).to_csv(file, index=False))
    write_file(folder / REPORT, page("Queries mapped onto a reference", _parts(table, settings)))


def _parts(table: pd.DataFrame, settings: Mapping[str, object]) -> list[str]:
    named = table.set_axis(_short_names(table["query"]))
    failed = named[named["status"] == FAILED]
    totals = {status: int((table["status"] == status).sum()) for status in (DONE, KEPT, FAILED)}
    parts = [
        verdict(_sentence(table), _points(named)),
        listing({"queries": len(table), **totals, "cells": int(table["n_cells"].sum())}),
    ]
    if len(failed):
        parts += [heading("Failed"), table_of(failed[["message"]])]
    shown = named[["status", "n_cells", "unknown", "novel", "seconds"]].assign(
        warnings=[" ".join(texts) for texts in named["warnings"]]
    )
    parts += [heading("Queries"), table_of(shown)]
    shares = _shares(named)
    if shares.size:
        parts += [heading("Share of each label"), table_of(shares)]
    return [*parts, heading("Settings"), listing(settings)]


def _sentence(table: pd.DataFrame) -> str:
    """Say how many queries and cells have labels."""
    mapped = table[table["status"].isin([DONE, KEPT])]
    sentence = f"{len(mapped):,} of {len(table):,} queries are mapped"
    mapped = mapped.dropna(subset=["n_cells", "unknown"])
    cells = mapped["n_cells"].to_numpy(dtype=float)
    if not cells.sum():
        return f"{sentence}."
    unknown = np.average(mapped["unknown"], weights=cells)
    return (
        f"{sentence}: {cells.sum():,.0f} cells, of which {1 - unknown:.0%} have a label and {unknown:.0%} are unknown."
    )


def _points(named: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the queries to look at, and what to do about them."""
    points = []
    if len(failed := named.index[named["status"] == FAILED]):
        again = "What is wrong stands below. Mend it and call again: the others are not mapped once more."
        points.append((f"{len(failed)} failed: {_some(failed)}.", again))
    if n := int((~named["status"].isin([DONE, KEPT, FAILED])).sum()):
        points.append((f"{n} were not reached.", "Call again: what is done is kept."))
    look = "Write the report of one of them (scarches-plus annotate --report): its verdict says what to do."
    for column, what in {"unknown": "are unknown", "novel": "are called novel"}.items():
        shares = named[column].dropna().sort_values(ascending=False, kind="stable")
        if len(many := shares[shares > _MANY]):
            names = _some(f"{name} ({share:.0%})" for name, share in many.items())
            points.append((f"Queries in which more than {_MANY:.0%} of the cells {what}: {names}.", look))
    return points


def _some(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    names = list(names)
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _shares(named: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each label in each query, those of most cells first."""
    counts = pd.DataFrame(list(named["labels"]), index=named.index).dropna(how="all").fillna(0)
    counts = counts[counts.sum().sort_values(ascending=False, kind="stable").index]
    if counts.shape[1] > _MOST_LABELS:
        rest = counts.iloc[:, _MOST_LABELS:].sum(axis=1)
        counts = counts.iloc[:, :_MOST_LABELS].assign(**{"other labels": rest})
    return counts.div(counts.sum(axis=1), axis=0)


def _short_names(queries: pd.Series) -> list[str]:
    """Return the names of the files, with their folders where two are called the same."""
    names = [Path(query).name for query in queries]
    times = Counter(names)
    return [name if times[name] == 1 else query for query, name in zip(queries, names, strict=True)]
