"""Define the command that labels cells and does all that belongs to it: annotate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from scarches_plus import tl
from scarches_plus._arguments import at_home
from scarches_plus._files import check_apart
from scarches_plus._reference_summary import part_of
from scarches_plus._visit import Visit, VisitOptions
from scarches_plus.cli._app import AS_IT_IS, Epochs, Reading, Share, Unlabelled, Whole, Words
from scarches_plus.cli._files._inputs import (
    OF_NOVEL,
    read_cells,
    read_hierarchy,
    require_columns,
    require_counts,
    require_different,
)
from scarches_plus.cli._files._models import names_a_model, open_reference, read_reference, read_summary
from scarches_plus.cli._files._outputs import CELLS, output_file, output_files, output_folder, write_cells
from scarches_plus.cli._steps import console, trained_model_kept, write_report


def annotate(  # noqa: PLR0913 (two ways to the labels)
    query: Path,
    *,
    reference: str,
    out: Path,
    labels_key: str | None = None,
    batch_key: str | None = None,
    by: Literal["model", "expression"] | None = None,
    report: Path | None = None,
    save_model: Path | None = None,
    unknown_above: Share = 0.5,
    unlabelled: Unlabelled = None,
    hierarchy: Path | None = None,
    novel_key: str | None = None,
    probabilities: bool = False,
    layer: str | None = None,
    reference_layer: str | None = None,
    shared_batches: Words = (),
    max_epochs: Epochs = None,
    seed: Whole = 0,
    reading: Reading = AS_IT_IS,
) -> None:
    """Label cells: the whole visit to a reference model, or in seconds by expression alone.

    By a model: maps the cells (embeds them where the model's encoder does not see batches), looks for novel cells,
    transfers labels (as the consensus of vote and classifier, where the reference has one; novel cells are unknown),
    and places the cells on the map of the reference. What the reference does not carry for one of these is said.

    Parameters
    ----------
    query
        A file of cells with raw counts.
    reference
        What names a model: a bundle, its folder, a name of hub list, a DOI; or a file of the reference's cells with raw
        counts.
    out
        The .h5ad file to write.
    labels_key
        Column of labels in the reference, if not that which the model was trained on; a file of cells needs one.
    batch_key
        By a model: column of batches of the query, if not the model's; without one all cells are one batch. By
        expression: column of batches of the reference, which are held out in turn to choose genes and regularisation.
    by
        model or expression; by default model if the reference is one.
    report
        Folder for a report, umap.png and report.html, by a model with cells or with a map.
    save_model
        By a model: new folder for the mapped model, which the command extend takes.
    unknown_above
        Uncertainty above which a cell is called unknown.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    hierarchy
        File with a hierarchy of the labels: a cell gets the deepest label that is certain enough.
    novel_key
        By expression: column of novel cells, as the command novel writes it ("novel"): they are called unknown.
    probabilities
        Also write the probabilities of all labels, which the command abundance takes.
    layer
        Layer of the query with raw counts, if not X or that of the model.
    reference_layer
        By expression: layer of the reference with raw counts, if not X.
    shared_batches
        By a model: batches of the query that are the reference's own.
    max_epochs
        By a model: epochs of mapping; 200 by default.
    seed
        By a model: seed of the mapping.
    """
    require_different(labels_key=labels_key, batch_key=batch_key)
    reads = {"--reference": at_home(reference), "--hierarchy": hierarchy, "--columns": reading.columns}
    out = output_file(out, CELLS, reads, updates=query)
    way = by or ("model" if names_a_model(reference) else "expression")
    for option, given, of in (
        ("--report", report, "model"), ("--max-epochs", max_epochs, "model"), ("--save-model", save_model, "model"),
        ("--shared-batches", shared_batches or None, "model"),
        ("--novel-key", novel_key, "expression"), ("--reference-layer", reference_layer, "expression"),
    ):  # fmt: skip
        if given is not None and of != way:
            message = f"{option} goes with --by {of}, and this is by {way}"
            raise ValueError(message)
    folder = None if report is None else output_files(report, ("umap.png", "report.html"), reads)
    if save_model is not None:
        save_model = output_folder(save_model, {"the query": query, **reads}, option="--save-model", overwrite=False)
        check_apart({"--out": out, "--save-model": save_model})
    labels: dict[str, Any] = {
        "unknown_above": unknown_above,
        "hierarchy": read_hierarchy(hierarchy),
        "probabilities": probabilities,
    }
    if way == "expression":
        known = _expression_of(reference, labels_key, batch_key, reference_layer)
        adata = read_cells(query, reading)
        require_columns(adata, query, novel_key=novel_key, hint=OF_NOVEL)
        require_counts(adata, query, layer)
        tl.annotate(
            adata,
            known,
            labels_key,
            batch_key=batch_key,
            layer=layer,
            reference_layer=reference_layer,
            unlabelled=unlabelled,
            novel_key=novel_key,
            **labels,
        )
        key, picture = labels_key or part_of(known, "classifier").labels_key, None
        write_cells(adata, out)
    else:
        visit = Visit.to(
            open_reference(reference),
            VisitOptions(
                labels_key=labels_key,
                batch_key=batch_key,
                layer=layer,
                shared_batches=tuple(shared_batches),
                max_epochs=max_epochs,
                seed=seed,
                unlabelled=unlabelled,
                **labels,
            ),
        )
        key, picture = visit.labels_key, visit.picture
        if picture is None and folder is not None:
            message = f"--report draws the query on the map of the reference, and {reference} has none: leave it out"
            raise ValueError(message)
        adata = read_cells(query, reading)
        require_counts(adata, query, visit.layer)
        require_columns(adata, query, batch_key=batch_key)
        with trained_model_kept(save_model):
            model = visit.map(adata, query, console.print)
        try:
            if save_model is not None:
                model.save(save_model)
            visit.label(adata, console.print)
        finally:  # what is mapped is not lost with what comes after
            write_cells(adata, out)
    console.table("labels", adata.obs[f"{key}_pred"].value_counts(sort=False))
    console.wrote(out)
    if folder is not None and picture is not None:
        beside = picture if visit.known.cells is None else visit.known.cells
        write_report(adata, beside, key, folder, f"Labels of {query.name}", unlabelled=unlabelled, picture=picture)


def _expression_of(reference: str, labels_key: str | None, batch_key: str | None, layer: str | None) -> Any:
    """Return the summary of a bundle, or cells with counts and labels."""
    known: Any = read_summary(reference)
    if known is None:
        if labels_key is None:
            message = f"name the column of labels of {reference} with --labels-key; only a bundle needs none"
            raise ValueError(message)
        known = read_reference(reference, embedded=False)
        require_columns(known, Path(reference), labels_key=labels_key, batch_key=batch_key)
        require_counts(known, Path(reference), layer)
    return known
