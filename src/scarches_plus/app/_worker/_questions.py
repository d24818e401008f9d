"""Answer questions about a finished job: a gene, why a cell got its label, names of novel clusters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from anndata.io import read_elem, sparse_dataset

from scarches_plus import _keys as keys
from scarches_plus import tl
from scarches_plus._cell_files import read_cells
from scarches_plus._cells import row_blocks
from scarches_plus._files import write_file
from scarches_plus._limits import ASKED_CELLS
from scarches_plus.app._jobs._view import view_of

from ._outputs._results import CELLS, RESULT, SCRIPT, cells_without_counts, write_cells
from ._outputs._script import with_names
from ._reference import open_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

#: Counts that expression is scaled to before its logarithm is taken.
_PER_CELL = 1e4
#: Labels that compete for a cell, as far as they are told.
_MOST_LABELS = 3


def gene(out: str, name: str, tell: Callable[..., None]) -> dict[str, Any]:
    """Write log expression of a gene for the page, and return the file's name.

    Parameters
    ----------
    out
        Folder of the job.
    name
        Gene, as the query spells it, in any case.
    tell
        Not used: it takes a second.

    Raises
    ------
    KeyError
        If the query has no such gene.
    """
    folder = Path(out)
    layer = json.loads((folder / RESULT).read_text(encoding="utf-8"))["counts_layer"]
    with h5py.File(folder / CELLS, "r") as file:
        genes = [str(one) for one in read_elem(file["var"]).index]
        column = _position(genes, name)
        found = folder / f"gene-{hashlib.sha256(genes[column].encode()).hexdigest()[:16]}.view"
        if not found.is_file():
            stored = file["X"] if layer == "X" else file["layers"][layer]
            matrix = sparse_dataset(stored) if isinstance(stored, h5py.Group) else stored
            values = np.concatenate([_expression(block, column) for block in row_blocks(matrix)])
            write_file(found, view_of({"values": values.astype(np.float32)}, kind="number"))
    return {"file": found.name, "gene": genes[column]}


def explain(out: str, rows: list[int], tell: Callable[..., None]) -> list[dict[str, Any]]:
    """Return why cells got their labels: which labels compete, who the neighbours are, and how novel the cell is.

    Parameters
    ----------
    out
        Folder of the job.
    rows
        Cells, by their places.
    tell
        Not used: it takes a second.

    Raises
    ------
    ValueError
        If a cell is not there, or too many are asked for.
    """
    folder = Path(out)
    summary = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    options = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if len(rows) > ASKED_CELLS or any(not 0 <= row < summary["n_cells"] for row in rows):
        message = f"ask for cells 0 to {summary['n_cells'] - 1}, at most {ASKED_CELLS} at once"
        raise ValueError(message)
    adata = cells_without_counts(folder)[rows].copy()
    key = summary["labels_key"]
    labels = list(adata.uns[keys.UNS][keys.PROBABILITY_LABELS][key])
    shares = np.asarray(adata.obsm[keys.probabilities(key)])
    answers = [
        {
            "cell": str(adata.obs_names[at]),
            "prediction": str(adata.obs[summary["predicted"]].iloc[at]),
            "labels": [
                {"label": str(labels[code]), "probability": float(shares[at, code])}
                for code in np.argsort(-shares[at], kind="stable")[:_MOST_LABELS]
            ],
            **_novelty(adata, at, summary),
        }
        for at in range(adata.n_obs)
    ]
    if summary["has_cells"] and adata.n_obs:
        reference = open_reference(summary["reference"])
        vote = adata.uns[keys.UNS][keys.TRANSFER][key]
        told = tl.explain_labels(
            adata,
            reference.cells,
            key,
            cells=np.ones(adata.n_obs, dtype=bool),
            k=int(vote["k"]),
            kernel=vote["kernel"],
            unknown_above=options["unknown_above"],
            novel_key="novel" if summary["novel"] else None,
        )
        for at, (answer, neighbors, distance) in enumerate(
            zip(answers, told["neighbor_labels"], told["distance"], strict=True)
        ):
            novel = bool(summary["novel"]) and bool(adata.obs["novel"].iloc[at])
            reason = _reason(float(shares[at].max()), options, novel=novel)
            answer |= {"reason": reason, "neighbors": str(neighbors), "distance": float(distance)}
    return answers


def _reason(share: float, options: dict[str, Any], *, novel: bool) -> str:
    """Return why a label was accepted or not, by the probability that was given; neighbours alone do not decide it."""
    if novel:
        return "novel"
    highest = 1.0 if options["unknown_above"] is None else options["unknown_above"]
    return "uncertain" if 1 - share > highest else "accepted"


def name_clusters(out: str, names: dict[str, str], tell: Callable[..., None]) -> dict[str, Any]:
    """Name clusters of novel cells, write all results again, and return the summary.

    Parameters
    ----------
    out
        Folder of the job.
    names
        Cluster to name.
    tell
        Is told that this takes a moment.
    """
    folder = Path(out)
    summary = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    tell("naming clusters", 0.2, None)
    adata = read_cells(folder / CELLS)
    tl.name_novel(adata, names, summary["predicted"])
    written = write_cells(adata, folder, summary)
    script = (folder / SCRIPT).read_text(encoding="utf-8")
    write_file(folder / SCRIPT, with_names(script, names, summary["predicted"]).encode())
    return written


def _position(genes: list[str], name: str) -> int:
    if name in genes:
        return genes.index(name)
    folded = [one.casefold() for one in genes]
    if name.casefold() in folded:
        return folded.index(name.casefold())
    near = sorted(one for one in genes if one.casefold().startswith(name.casefold()))[:5]
    message = f"the query has no gene {name!r}" + (f"; near it: {', '.join(near)}" if near else "")
    raise KeyError(message)


def _expression(block: Any, column: int) -> np.ndarray:
    """Return log1p of counts per 10,000 of one gene."""
    totals = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
    counts = block[:, column]
    counts = np.asarray(counts.todense() if hasattr(counts, "todense") else counts, dtype=np.float64).ravel()
    return np.log1p(_PER_CELL * counts / np.where(totals > 0, totals, 1))  # type: ignore[no-any-return]


def _novelty(adata: AnnData, at: int, summary: dict[str, Any]) -> dict[str, Any]:
    if summary["novel"] is None:
        return {}
    row = adata.obs.iloc[at]
    return {
        "novel": bool(row["novel"]),
        "novel_score": float(row[keys.novel_score("novel")]),
        "novel_threshold": summary["novel"]["threshold"],
        "novel_label": str(row[keys.novel_label("novel")]),
    }
