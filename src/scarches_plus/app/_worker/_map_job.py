"""Run a job: map a query, label its cells, find novel ones, place them on the map, and write all of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus import _visit, tl
from scarches_plus._text import for_line
from scarches_plus.model import set_seed

from ._cells import name_batches, read_query
from ._map import place_query
from ._outputs._results import write_results
from ._progress import Progress
from ._reference import open_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

    from ._reference import Reference

#: Steps, and their usual shares of the time.
STEPS = {
    "opening the reference": 0.10,
    "reading the cells": 0.08,
    "mapping": 0.47,
    "looking for novel cells": 0.10,
    "transferring labels": 0.05,
    "placing cells on the map": 0.10,
    "writing the results": 0.10,
}


def map_job(options: dict[str, Any], query: str, out: str, maps: str, tell: Callable[..., None]) -> dict[str, Any]:
    """Map a query as a job says, and write the results into its folder.

    Parameters
    ----------
    options
        What :class:`~scarches_plus.app._jobs._options.JobOptions` holds.
    query
        Path of the cells.
    out
        Folder of the job.
    maps
        Folder for maps of references.
    tell
        Is told of progress.
    """
    progress = Progress(tell, STEPS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        with progress.step("opening the reference"):
            reference = open_reference(options["reference"])
            labels_key = reference.labels_key(options["labels_key"])
        with progress.step("reading the cells"):
            adata, kind = read_query(query, options)
            columns_read = [str(name) for name in adata.obs.columns.unique()]
            batch_key = name_batches(adata, options["batch_key"], reference.model.spec.batches)
        with progress.step("mapping"):
            _map(adata, reference, options, batch_key)
        with progress.step("looking for novel cells"):
            why_not = _visit.find_novel(
                adata, reference.known, labels_key, alpha=options["alpha"], layer=options["layer"]
            )
        with progress.step("transferring labels"):
            consensus = _visit.transfer(
                adata, reference.known, labels_key, novel_key=None if why_not else "novel",
                unknown_above=options["unknown_above"], probabilities=True,
            )  # fmt: skip
        with progress.step("placing cells on the map"):
            picture = reference.picture(labels_key, Path(maps))
            place_query(adata, picture, options["seed"])
    notes = list(dict.fromkeys(for_line(one.message) for one in caught if issubclass(one.category, UserWarning)))
    with progress.step("writing the results"):
        return write_results(
            adata,
            Path(out),
            options=options,
            query=query if options["file"] is None else Path(query).name,
            kind=kind,
            columns_read=columns_read,
            reference=reference,
            labels_key=labels_key,
            batch_key=batch_key,
            one_batch=None if options["batch_key"] is not None else str(adata.obs[batch_key].iloc[0]),
            map_of="query" if picture is None else "reference",
            why_not=why_not,
            consensus=consensus,
            notes=notes,
            seconds=progress.seconds,
        )


def _map(adata: AnnData, reference: Reference, options: dict[str, Any], batch_key: str) -> None:
    where = {"layer": options["layer"], "batch_key": batch_key}
    if options["method"] == "zero-shot":
        tl.embed(adata, reference.model, **where)
        return
    set_seed(options["seed"])
    tl.map_query(adata, reference.model, **where, max_epochs=options["max_epochs"], on_problem=options["on_problem"])
