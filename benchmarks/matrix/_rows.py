"""The table of results on disk: one row per run, appended whole."""

from __future__ import annotations

import csv
import io
import os
from math import isnan
from typing import TYPE_CHECKING, Any

import pandas as pd

from ._scores import EXTRA, SCORES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

#: What tells a run from the others.
KEY = ("data", "method", "seed", "epochs", "fraction")
VERSIONS = ("scarches-plus", "scvi-tools", "torch", "scib-metrics")
COSTS = (
    "reference cells", "query cells", "trained parameters", "reference seconds", "query seconds", "reference CPU seconds",
    "query CPU seconds", "score CPU seconds", "reference MiB", "MiB",
)  # fmt: skip
COLUMNS = (*KEY, "settings", "error", *SCORES, *EXTRA, *COSTS, *VERSIONS, "peer", "python", "device")


def key_of(row: Mapping[str, Any]) -> tuple[str, str, int, int, float]:
    return str(row["data"]), str(row["method"]), int(row["seed"]), int(row["epochs"]), round(float(row["fraction"]), 6)


def read_rows(path: Path) -> pd.DataFrame:
    """Return the rows of a table, the latest of each run; a last line that was cut off does not count."""
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if not whole:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = pd.read_csv(io.StringIO(whole), dtype={"data": str, "method": str, "settings": str, "error": str})
    if missing := [name for name in KEY if name not in rows]:
        raise ValueError(f"{path} is no table of this benchmark: it has no columns {missing}")
    return rows.drop_duplicates(list(KEY), keep="last", ignore_index=True)


class Rows:
    """A table that grows by one row at a time.

    A row is one write to a file opened for appending: a run that is killed leaves whole rows, and at most one that is
    cut off, which is removed when the table is opened again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._mend()

    def append(self, row: Mapping[str, Any]) -> None:
        self._write([[_text(row.get(name, "")) for name in COLUMNS]])

    def _mend(self) -> None:
        """Leave a table with this version's columns and whole lines only."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        header = next(csv.reader(whole.splitlines()[:1]), [])
        if header == list(COLUMNS) and whole == text:
            return
        old = list(csv.DictReader(io.StringIO(whole)))
        if header and not set(KEY) <= set(header):
            raise ValueError(f"{self.path} is no table of this benchmark: its columns are {header}")
        part = self.path.with_name(f".{self.path.name}.part")
        part.write_text("", encoding="utf-8")
        self._write([list(COLUMNS), *([row.get(name, "") for name in COLUMNS] for row in old)], part)
        part.replace(self.path)

    def _write(self, lines: Iterable[list[str]], path: Path | None = None) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(lines)
        file = os.open(path or self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, buffer.getvalue().encode())
        finally:
            os.close(file)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:.6g}"
    return " ".join(str(value).split())
