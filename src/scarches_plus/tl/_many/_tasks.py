"""Describe what is to be done for each query, and find what an earlier call has done already."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus._cell_files import resolved
from scarches_plus._files import write_file
from scarches_plus._json import finite, parse_json

from ._content import hash_of_contents, hash_of_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scarches_plus._visit import VisitOptions

VERSION = version("scarches-plus")
#: How a query ended: now, in an earlier call, or not at all.
DONE, KEPT, FAILED, WAITING = "done", "kept", "failed", "not done"
_ENDINGS = (".gz", ".bz2", ".h5ad", ".h5mu", ".h5", ".zarr", ".loom", ".csv", ".tsv", ".txt", ".mtx")


@dataclass(frozen=True)
class Task:
    """A query, and all that a worker needs to know to map it.

    Attributes
    ----------
    query
        Path of its cells.
    name
        What its results are called.
    folder
        Folder of the results.
    reference
        Path of the reference.
    setting
        Hash of the reference, the options and the version of this package.
    options
        What is chosen.
    modality
        Modality of an ``.h5mu`` file.
    n_threads
        Threads to compute with.
    """

    query: str
    name: str
    folder: str
    reference: str
    setting: str
    options: VisitOptions
    modality: str | None
    n_threads: int

    @property
    def result(self) -> Path:
        """File of the mapped cells."""
        return Path(self.folder) / f"{self.name}.h5ad"

    @property
    def record(self) -> Path:
        """File that says how it went."""
        return Path(self.folder) / f"{self.name}.json"

    def fingerprint(self) -> str:
        """Return a hash of all that the result depends on."""
        return hash_of_text(hash_of_contents(resolved(self.query)), self.setting)

    def empty_row(self) -> dict[str, Any]:
        """Return the row of a query of which nothing is known yet."""
        return {
            "name": self.name,
            "query": self.query,
            "status": WAITING,
            "n_cells": None,
            "unknown": None,
            "novel": None,
            "seconds": None,
            "labels": {},
            "notes": [],
            "warnings": [],
            "message": "",
            "file": "",
        }

    def begin(self) -> None:
        """Take back what an earlier call recorded: from here on the result may be of another setting."""
        self.end(self.empty_row(), None)

    def end(self, row: dict[str, Any], fingerprint: str | None) -> None:
        """Record how it went."""
        contents = {"fingerprint": fingerprint, **row}
        write_file(self.record, json.dumps(finite(contents), indent=1).encode())

    def kept(self) -> dict[str, Any] | None:
        """Return the row of an earlier call that did the same, ``None`` if there was none."""
        record = read_record(self.record)
        if record is None or record.get("status") != DONE or not self.result.is_file():
            return None
        try:
            same = record.pop("fingerprint", None) == self.fingerprint()
        except OSError:  # the query is gone: the worker says so
            return None
        here = {"query": self.query, "status": KEPT, "file": str(self.result)}  # the folder may have moved
        return {**self.empty_row(), **record, **here} if same else None


def make_tasks(queries: Sequence[Path], folder: Path, **shared: Any) -> list[Task]:
    """Return a task for each query, whose results have names of their own.

    Raises
    ------
    ValueError
        If a query lies among the results.
    """
    if own := [path for path in queries if path.parent.resolve() == folder.resolve()]:
        message = f"out ({folder}) is the folder of the query {own[0].name}: choose another folder for the results"
        raise ValueError(message)
    return [
        Task(query=str(query), name=name, folder=str(folder), **shared)
        for query, name in zip(queries, _names_of(queries, folder), strict=True)
    ]


def setting_of(reference: str, modality: str | None, options: VisitOptions) -> str:
    """Return a hash of all that a result depends on but the query; ``reference`` is one of the reference."""
    tree = None if options.hierarchy is None else dict(options.hierarchy.parents)
    plain = asdict(replace(options, hierarchy=None)) | {"hierarchy": tree, "modality": modality}
    return hash_of_text(reference, VERSION, json.dumps(plain, sort_keys=True, default=repr))


def read_record(file: Path) -> dict[str, Any] | None:
    """Return what a record says, ``None`` if there is none."""
    try:
        found = parse_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _names_of(queries: Sequence[Path], folder: Path) -> list[str]:
    """Return a name for the results of each query: its own, or with that of its folder, or with a hash of its path.

    It is the first of these that no other query of this call shares, nor one of an earlier call.
    """
    forms = [
        (
            _stem(path),
            f"{path.parent.name}-{_stem(path)}",
            f"{_stem(path)}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}",
        )
        for path in queries
    ]
    times = Counter(name.casefold() for names in forms for name in set(names))
    return [
        next((name for name in names if times[name.casefold()] == 1 and _is_free(folder, name, path)), names[-1])
        for names, path in zip(forms, queries, strict=True)
    ]


def _is_free(folder: Path, name: str, query: Path) -> bool:
    """Return whether no other query has results of a name."""
    record = read_record(folder / f"{name}.json")
    if record is None:
        return not (folder / f"{name}.h5ad").exists()
    return record.get("query") == str(query)


def _stem(path: Path) -> str:
    name = path.name
    while (shorter := next((name[: -len(end)] for end in _ENDINGS if name.lower().endswith(end)), "")) != "":
        name = shorter
    return name
