"""Summarise in words and numbers what was done to cells, from what is recorded with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._html import listing
from scarches_plus._logging import tell
from scarches_plus._text import for_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

#: Most names in a line.
_MOST_NAMES = 5
#: Seconds above which a time is given in minutes.
_LONG = 120


@dataclass(frozen=True)
class Outcome:
    """What one verb did.

    Attributes
    ----------
    what
        Kind of work, such as ``"mapped"``.
    key
        Slot or column that it is about.
    line
        The line that says so.
    numbers
        What the line says, and more, by name; plain values.
    """

    what: str
    key: str
    line: str
    numbers: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {"what": self.what, "key": self.key, "line": self.line, **self.numbers}


@dataclass(frozen=True, repr=False)
class Summary:
    """What was done to cells: a line for each verb, shown as a list in terminals and as a table in notebooks.

    Attributes
    ----------
    outcomes
        What each verb did, with ``what``, ``key``, ``line`` and ``numbers``.
    """

    outcomes: tuple[Outcome, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the outcomes as plain values, for JSON for instance."""
        return [outcome.to_dict() for outcome in self.outcomes]

    def __repr__(self) -> str:
        """Return the lines."""
        return "\n".join(for_line(outcome.line) for outcome in self.outcomes) or "no work of this package is recorded"

    def _repr_html_(self) -> str:
        """Return the lines as a table, for notebooks."""
        return listing({f"{one.what}: {one.key}": one.line for one in self.outcomes}) if self.outcomes else repr(self)


def summary(adata: AnnData | MuData) -> Summary:
    """Say what was done to cells: how they were mapped and labelled, and what is novel.

    Verbs say the same lines when they end (:doc:`/guide/settings`). This one reads the records in
    ``uns["scarches_plus"]`` and counts the cells that are there now, so it also works on files and on subsets.

    Parameters
    ----------
    adata
        Cells that were built into a reference, embedded, mapped, labelled or judged; not changed.

    Returns
    -------
    Summary
        An outcome for each embedding, label column and search for novel cells.

    Raises
    ------
    TypeError
        If ``adata`` holds no cells.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> reference = sp.datasets.simulate(300, n_types=3)
    >>> query = reference[:100].copy()
    >>> sp.tl.annotate(query, reference, "cell_type", batch_key="batch")
    >>> sp.tl.summary(query)
    labelled 100 cells (cell_type_pred): 3 types, 0 % unknown
    """
    check.cells("adata", adata, mudata=True)
    records = adata.uns.get(_keys.UNS, {})
    found = [_recorded(adata, kind, key, record) for kind in _KINDS for key, record in records.get(kind, {}).items()]
    return Summary(tuple(one for one in found if one is not None))


def _recorded(adata: AnnData | MuData, kind: str, key: str, record: Mapping[str, Any]) -> Outcome | None:
    """Return what a record says, or that it cannot be read: another release or program may have written it."""
    try:
        return _KINDS[kind](adata, key, record)
    except (AttributeError, KeyError, TypeError, ValueError):
        place = f'uns["{_keys.UNS}"]["{kind}"]["{key}"]'
        return Outcome("unreadable", key, f"{key}: the record {place} cannot be read; run the verb again", {})


def tell_outcome(adata: AnnData | MuData, kind: str, key: str) -> None:
    """Say in one line what a verb did, from what it recorded.

    Parameters
    ----------
    adata
        Cells with the record.
    kind, key
        Where it lies in ``uns["scarches_plus"]``.
    """
    outcome = _KINDS[kind](adata, key, adata.uns[_keys.UNS][kind][key])
    if outcome is not None:
        tell(outcome.line, outcome.to_dict())


def _embedding(adata: AnnData | MuData, key: str, record: Mapping[str, Any]) -> Outcome | None:
    if key not in adata.obsm:
        return None
    n_cells = adata.n_obs
    if "training" in record:
        numbers = _plain(record["training"])
        line = (
            f"built a reference of {numbers['cells']:,} cells, {numbers['genes']:,} genes and "
            f"{_count(numbers['batches'], 'batch', 'batches')} in {_time(numbers['seconds'])}: "
            f"{record['model_class']}, {_count(numbers['epochs'], 'epoch')}"
        )
        return Outcome("built", key, line, numbers)
    if "mapping" not in record:
        made = "a reference of" if record.get("role") == _keys.REFERENCE else "embedded"
        return Outcome("embedded", key, f"{made} {n_cells:,} cells ({record['model_class']})", {"cells": n_cells})
    mapping = record["mapping"]
    drift = _plain(mapping["drift"])
    numbers = {
        "cells": n_cells,
        "seconds": float(mapping["seconds"]),
        "trained_parameters": int(mapping["trained_parameters"]),
        "total_parameters": int(mapping["total_parameters"]),
        "strategy": str(mapping["strategy"]),
        "engine": str(mapping["engine"]),
        "drift": drift,
    }
    line = (
        f"mapped {n_cells:,} cells in {_time(numbers['seconds'])}; trained {numbers['trained_parameters']:,} of "
        f"{numbers['total_parameters']:,} parameters; {_moved(drift)}"
    )
    return Outcome("mapped", key, line, numbers)


def _moved(drift: Mapping[str, float]) -> str:
    """Say how far the reference moved: as measured on its cells, or by its weights where there are none."""
    measured = "relative_rmsd" in drift
    if not drift["weights"] and not drift.get("relative_rmsd"):
        return "reference moved 0.0" + (f" (measured on {drift['cells']:,} cells)" if measured else " (same weights)")
    if measured:
        return f"reference moved {drift['relative_rmsd']:.3g} of its spread (measured on {drift['cells']:,} cells)"
    return (
        f"weights of the reference changed by up to {drift['weights']:.2g}; how far its cells moved was not measured "
        "(drift_cells)"
    )


def _labels(adata: AnnData | MuData, key: str, record: Mapping[str, Any]) -> Outcome | None:
    column = _keys.predicted(key)
    if column not in adata.obs:
        return None
    counts = _counts(adata.obs[column])
    n_cells = sum(counts.values())
    share = counts.pop(str(record.get("unknown_category", _keys.UNKNOWN)), 0) / max(n_cells, 1)
    numbers: dict[str, Any] = {"cells": n_cells, "unknown": share, "labels": counts}
    line = f"labelled {n_cells:,} cells ({column}): {_count(len(counts), 'type')}, {_percent(share)} unknown"
    return Outcome("labelled", column, *_with_others(line, numbers, adata.n_obs - n_cells, "without a label"))


def _novel(adata: AnnData | MuData, key: str, record: Mapping[str, Any]) -> Outcome | None:
    state, cluster = _keys.novel_state(key), _keys.novel_cluster(key)
    if not {key, state} & set(adata.obs) or "judged" not in record:
        return None
    if not record["judged"]:
        line = f"{key}: no cell was judged, since the query differs too much from the reference or has too few types"
        return Outcome("searched", key, line, {"cells": adata.n_obs, "judged": False})
    states = _counts(adata.obs[state]) if state in adata.obs else _counts(adata.obs[key].map(_STATES.get))
    clusters = _counts(adata.obs[cluster]) if cluster in adata.obs else {}
    n_cells = sum(states.values())
    numbers: dict[str, Any] = {
        "cells": n_cells,
        "judged": True,
        "novel": states.get("novel", 0),
        "not_judged": states.get("not judged", 0),
        "clusters": clusters,
        "shift": float(record["shift"]),
        "alpha": float(record["alpha"]),
    }
    line = (
        f"{key}: {numbers['novel']:,} of {n_cells:,} cells, {_count(len(clusters), 'cluster')}; judged against a "
        f"shift of {numbers['shift']:.2f}; {_percent(numbers['alpha'])} of the known cells are expected among them"
    )
    if numbers["not_judged"]:
        line += f"; {numbers['not_judged']:,} cells not judged"
    names = {str(cluster): str(name) for cluster, name in record.get("names", {}).items()}
    if names:
        numbers["names"] = names
        line += f"; named: {_some(list(dict.fromkeys(names.values())))}"
    return Outcome("searched", key, *_with_others(line, numbers, adata.n_obs - n_cells, "without an answer"))


def _with_others(line: str, numbers: dict[str, Any], n_others: int, what: str) -> tuple[str, dict[str, Any]]:
    """Add the cells without a value, such as those that were joined later."""
    if n_others:
        return f"{line}; {_count(n_others, 'cell')} {what}", {**numbers, what.replace(" ", "_"): n_others}
    return line, numbers


#: Value of a column that says whether a cell is novel, as stored or as text, to its state.
_STATES = {True: "novel", "True": "novel", False: "known", "False": "known"}
#: Slot of records to what says in words what one of them records.
_KINDS: dict[str, Callable[[AnnData | MuData, str, Mapping[str, Any]], Outcome | None]] = {
    _keys.EMBEDDINGS: _embedding,
    _keys.TRANSFER: _labels,
    _keys.NOVEL: _novel,
}


def _counts(column: pd.Series) -> dict[str, int]:
    """Return how many cells have each value that occurs, most frequent first."""
    return {str(name): int(n) for name, n in column.value_counts().items() if n}


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a record as Python's own; files give back numpy's."""
    return {str(name): value.item() if hasattr(value, "item") else value for name, value in record.items()}


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < _LONG else f"{seconds / 60:.0f} min"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f} %" if 0 < percent < 1 else f"{percent:.0f} %"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (" ..." if len(names) > _MOST_NAMES else "")
