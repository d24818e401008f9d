"""Run a job: map a query, label its cells, find novel ones, place them on the map, and write all of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus import _keys as keys
from scarches_plus import hub, tl
from scarches_plus._text import for_line
from scarches_plus.model import set_seed

from ._cells import name_batches, read_query
from ._map import place_query
from ._progress import Progress
from ._reference import open_reference
from ._results import write_results

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

    from ._reference import Reference

#: Steps, and their usual shares of the time.
STEPS = {
    "opening the reference": 0.10,
    "reading the cells": 0.08,
    "mapping": 0.47,
    "transferring labels": 0.05,
    "looking for novel cells": 0.10,
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
            batch_key = name_batches(adata, options)
        with progress.step("mapping"):
            _map(adata, reference, options, batch_key)
        with progress.step("transferring labels"):
            known = reference.model if reference.cells is None else reference.cells
            tl.transfer_labels(adata, known, labels_key, unknown_above=options["unknown_above"], probabilities=True)
        with progress.step("looking for novel cells"):
            novelty = _find_novel(adata, reference, labels_key, options)
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
            map_of="query" if picture is None else "reference",
            novelty=novelty,
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


def _find_novel(adata: AnnData, reference: Reference, labels_key: str, options: dict[str, Any]) -> str:
    """Look for novel cells where that can be done, and return why it cannot otherwise."""
    where = {"alpha": options["alpha"], "layer": options["layer"]}
    try:
        if reference.profiles:
            tl.detect_novel(adata, hub.load_profiles(reference.path), **where)
            return ""
        spec, cells = reference.model.spec, reference.cells
        if cells is None or cells.X is None or not cells.n_vars:
            return "novelty was not judged: the reference carries neither label profiles nor cells with counts"
        if spec.batch_key not in cells.obs:
            return "novelty was not judged: the reference's cells have no column of batches"
        tl.detect_novel(adata, cells, labels_key, batch_key=spec.batch_key, **where)
    except ValueError as error:
        return f"novelty was not judged: {for_line(error)}"
    return "" if adata.uns[keys.UNS][keys.NOVEL]["novel"]["judged"] else "novelty was not judged: no honest answer"
