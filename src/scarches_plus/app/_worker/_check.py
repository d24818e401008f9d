"""Check a query against a reference, and list its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import pp
from scarches_plus._cells import names_of

from ._cells import name_batches, read_query
from ._reference import open_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

#: Groups that are named of a column.
_MOST_NAMES = 8
#: Words in names of columns of batches, surest first.
_BATCH_WORDS = ("batch", "sample", "donor", "library", "lane", "patient", "individual", "subject", "run", "channel")


def check(query: str, options: dict[str, Any], tell: Callable[..., None]) -> dict[str, Any]:
    """Return what is wrong with a query, each problem with its fix, and what columns it has."""
    tell("opening the reference", 0.1, None)
    reference = open_reference(options["reference"])
    tell("reading the cells", 0.4, None)
    adata, kind = read_query(query, options)
    once = adata.obs.loc[:, ~adata.obs.columns.duplicated()]  # the check tells of columns that share a name
    columns = [_column(str(name), once[name]) for name in once]
    suggested = _suggested(columns, reference.model.spec.batch_key)
    key = name_batches(adata, options.get("batch_key"), reference.model.spec.batches)
    tell("checking the cells", 0.7, None)
    report = pp.check_query(adata, reference.model, layer=options.get("layer"), batch_key=key)
    return {
        "kind": kind,
        "ok": report.ok,
        "maps_with_warnings": all(problem.severity != "fatal" for problem in report.problems),
        "n_cells": report.n_cells,
        "n_genes": report.n_genes,
        "n_reference_genes": report.n_reference_genes,
        "n_genes_found": report.n_genes_found,
        "new_batches": list(report.new_batches)[:100],
        "shared_batches": list(report.shared_batches)[:100],
        "problems": [
            {"severity": problem.severity, "message": problem.message, "fix": problem.fix}
            for problem in report.problems
        ],
        "columns": columns,
        "suggested_batch_key": suggested,
        "layers": [str(name) for name in adata.layers if name is not None],
        "method": "surgery" if reference.model.spec.encodes_batch else "zero-shot",
    }


def _column(name: str, values: pd.Series) -> dict[str, Any]:
    if values.dtype.kind in "fc":
        return {"name": name, "groups": None, "names": []}
    groups = list(dict.fromkeys(one for one in names_of(values) if one is not None))
    return {"name": name, "groups": len(groups), "names": groups[:_MOST_NAMES]}


def _suggested(columns: list[dict[str, Any]], usual: str | None) -> str | None:
    """Return the column that most likely holds batches: the reference's, else one whose name says so."""
    able = [one["name"] for one in columns if one["groups"] is not None and 1 <= one["groups"] <= 1_000]
    if usual in able:
        return usual
    for word in _BATCH_WORDS:
        for name in able:
            if word in name.lower():
                return str(name)
    return None
