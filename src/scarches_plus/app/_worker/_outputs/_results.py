"""Write what a job found: cells, tables, numbers for the page, report and script."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem

from scarches_plus import _keys as keys
from scarches_plus._cells import names_of
from scarches_plus._files import write_file
from scarches_plus._json import finite
from scarches_plus._limits import SHOWN_CATEGORIES, SHOWN_COLUMNS
from scarches_plus._text import for_csv
from scarches_plus.app._jobs._view import view_of
from scarches_plus.app._worker._map import POSITIONS

from ._report import write_report
from ._script import script_of

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus.app._worker._reference import Reference

CELLS, TABLE, ARROW, REPORT, SCRIPT, RESULT = (
    "result.h5ad", "cells.csv", "cells.arrow", "report.html", "script.py", "result.json",
)  # fmt: skip
_NO_VALUE = 65_535


def write_results(
    adata: AnnData,
    folder: Path,
    *,
    options: dict[str, Any],
    query: str,
    kind: str,
    columns_read: list[str],
    reference: Reference,
    labels_key: str,
    batch_key: str,
    one_batch: str | None,
    map_of: str,
    why_not: str,
    consensus: bool,
    notes: list[str],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Write all results of a job into its folder, and return the summary that the page shows."""
    predicted = keys.predicted(labels_key)
    summary = {
        "n_cells": adata.n_obs,
        "labels_key": labels_key,
        "predicted": predicted,
        "uncertainty": keys.uncertainty(labels_key),
        "batch_key": batch_key,
        "one_batch": one_batch,
        "counts_layer": adata.uns[keys.UNS][keys.EMBEDDINGS][keys.EMBEDDING].get("layer") or "X",
        "reference": options["reference"],
        "reference_composition": reference.composition(labels_key),
        "map": map_of,
        "kind": kind,
        "columns_read": columns_read,
        "novelty": _not_judged(adata, why_not),
        "looked_for_novel": not why_not,
        "consensus": consensus,
        "notes": notes,
        "has_cells": reference.cells is not None,
        "seconds": {step: round(value, 2) for step, value in seconds.items()},
    }
    script = script_of(options, reference, summary, query)
    write_file(folder / SCRIPT, script.encode())
    return write_cells(adata, folder, summary)


def write_cells(adata: AnnData, folder: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """Write the cells, their tables and numbers, and the report; again where clusters got names."""
    table = table_of(adata)
    write_file(folder / CELLS, lambda file: adata.write_h5ad(file, compression="gzip", compression_opts=1))
    write_file(folder / TABLE, lambda file: for_csv(table).to_csv(file, index_label="cell"))
    if find_spec("pyarrow") is not None:
        write_file(folder / ARROW, lambda file: _write_arrow(table, file))
    names = [str(name) for name in adata.obs_names]
    write_file(folder / "names.json", json.dumps(names).encode())
    write_file(folder / "points.view", view_of({"xy": np.asarray(adata.obsm[POSITIONS], dtype=np.float32)}))
    probability = 1 - adata.obs[summary["uncertainty"]].astype(np.float32)
    once = adata.obs.loc[:, ~adata.obs.columns.duplicated()]
    shown = {"probability": probability, **{str(name): once[name] for name in once}}
    columns = [_write_column(folder, number, name, values) for number, (name, values) in enumerate(shown.items())]
    summary |= {
        "columns": [column for column in columns if column is not None][:SHOWN_COLUMNS],
        "composition": _counts(adata.obs[summary["predicted"]]),
        "novel": _novel(adata),
    }
    write_report(adata, folder / REPORT, summary)
    write_file(folder / RESULT, json.dumps(finite(summary)).encode())
    return summary


def cells_without_counts(folder: Path) -> AnnData:
    """Return the cells of a finished job, without their counts."""
    with h5py.File(folder / CELLS, "r") as file:
        parts = {name: read_elem(file[name]) for name in ("obs", "obsm", "uns")}
    return AnnData(**parts)


def table_of(adata: AnnData) -> pd.DataFrame:
    """Return all columns of the cells, and where they lie on the map."""
    x, y = np.asarray(adata.obsm[POSITIONS], dtype=np.float32).T
    obs = adata.obs.loc[:, ~adata.obs.columns.duplicated()]
    return obs.assign(**{f"{POSITIONS}_1": x, f"{POSITIONS}_2": y})


def _write_arrow(table: pd.DataFrame, file: Path) -> None:
    """Write a table as an Arrow IPC file, where pyarrow is installed."""
    arrow = import_module("pyarrow")
    contents = arrow.Table.from_pandas(table.rename_axis("cell").reset_index(), preserve_index=False)
    with arrow.OSFile(str(file), "wb") as sink, arrow.ipc.new_file(sink, contents.schema) as writer:
        writer.write_table(contents)


def _write_column(folder: Path, number: int, name: str, values: pd.Series) -> dict[str, Any] | None:
    """Write one column for the page, and say what it is; ``None`` for names, which are no groups."""
    file = f"column{number}.view"
    if values.dtype.kind in "iuf":
        numbers = values.to_numpy(dtype=np.float32)
        write_file(folder / file, view_of({"values": numbers}, kind="number"))
        return {"name": name, "kind": "number", "file": file}
    texts = names_of(values)
    if isinstance(values.dtype, pd.CategoricalDtype):
        groups = [str(one) for one in values.cat.categories]
    else:
        groups = sorted({one for one in texts if one is not None})
    if len(groups) > SHOWN_CATEGORIES:
        return None
    code = {group: at for at, group in enumerate(groups)}
    codes = np.array([code.get(one, _NO_VALUE) for one in texts], dtype=np.uint16)
    write_file(folder / file, view_of({"values": codes}, kind="groups"))
    return {"name": name, "kind": "groups", "file": file, "groups": groups}


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(label): int(n) for label, n in values.value_counts().items() if n}


def _not_judged(adata: AnnData, why_not: str) -> str:
    """Return why novelty was not judged, "" if it was."""
    if why_not:
        return f"novelty was not judged: {why_not}"
    judged = adata.uns[keys.UNS][keys.NOVEL]["novel"]["judged"]
    return "" if judged else "novelty was not judged: the cells are as if of one type; the notes say what helps"


def _novel(adata: AnnData) -> dict[str, Any] | None:
    """Return how many cells are novel, in which clusters, and how many known ones may be among them."""
    record = adata.uns[keys.UNS].get(keys.NOVEL, {}).get("novel")
    if record is None or not record["judged"]:
        return None
    clusters = adata.obs.loc[adata.obs["novel"].to_numpy(dtype=bool), keys.novel_cluster("novel")]
    return {
        "cells": int(adata.obs["novel"].sum()),
        "clusters": _counts(clusters),
        "threshold": float(record["threshold"]),
        "alpha": float(record["alpha"]),
        "false_low": float(record["false_calls"]["low"]),
        "false_high": float(record["false_calls"]["high"]),
        "names": dict(record.get("names", {})),
    }
