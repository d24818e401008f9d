"""Define commands that score and draw a mapping: report, evaluate."""

from __future__ import annotations

from pathlib import Path

from scarches_plus import metrics, pl
from scarches_plus._arguments import at_home
from scarches_plus._files import write_file
from scarches_plus._text import for_csv
from scarches_plus.cli._app import AS_IT_IS, Jobs, Reading, Unlabelled, Words
from scarches_plus.cli._files._inputs import read_cells, require_columns, require_different
from scarches_plus.cli._files._models import read_map, read_reference
from scarches_plus.cli._files._outputs import output_files
from scarches_plus.cli._steps import console, write_report


def report(
    mapped: Path,
    *,
    reference: str,
    labels_key: str,
    unlabelled: Unlabelled = None,
    out: Path = Path("report"),
    reading: Reading = AS_IT_IS,
) -> None:
    """Score and draw a mapped and labelled query.

    Writes umap.png and report.html, a page that needs no other file.

    Parameters
    ----------
    mapped
        A mapped and labelled query (.h5ad). If it has true labels in the column, predictions are scored against them.
    reference
        The reference's cells with their embedding: a file, the folder of the command build, or what names a bundle with
        cells or with a map.
    labels_key
        Column of labels.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    out
        Folder for the results.
    """
    reads = {"the mapped query": mapped, "--reference": at_home(reference), "--columns": reading.columns}
    out = output_files(out, ("umap.png", "report.html"), reads)
    query, known = read_cells(mapped, reading), read_reference(reference, or_model=True)
    if hasattr(known, "obs"):
        require_columns(known, Path(reference), labels_key=labels_key)
    else:
        known = read_map(reference)
    write_report(query, known, labels_key, out, f"Mapping of {mapped.name}", unlabelled=unlabelled)


def evaluate(
    cells: Path,
    *,
    embeddings: Words = ("X_scarches",),
    batch_key: str,
    labels_key: str | None = None,
    reference_key: str | None = None,
    unlabelled: Unlabelled = None,
    full: bool = False,
    n_cells: Jobs = None,
    n_draws: Jobs = None,
    out: Path = Path("evaluation"),
    reading: Reading = AS_IT_IS,
) -> None:
    """Score embeddings: mixing of batches, conservation of biology, types of one batch, mapping.

    Writes scores.csv (one row per embedding and score), labels.csv (per type, if there are labels), evaluation.html and
    evaluation.png.

    Parameters
    ----------
    cells
        Cells with embeddings in obsm (.h5ad).
    embeddings
        Names of the embeddings.
    batch_key
        Column of batches.
    labels_key
        Column of cell types.
    reference_key
        Column of booleans that says which cells are the reference, for scores of mapping.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    full
        Take scores whose time grows with the square of the number of cells, too.
    n_cells
        Score so many drawn cells, as if there were no other; by default all up to 500,000, 100,000 of more.
    n_draws
        Draw them so many times, no cell twice, for means with intervals.
    out
        Folder for the results.
    """
    require_different(batch_key=batch_key, labels_key=labels_key, reference_key=reference_key)
    names = ("scores.csv", *(["labels.csv"] if labels_key else []), "evaluation.html", "evaluation.png")
    out = output_files(out, names, {"the file of cells": cells, "--columns": reading.columns})
    adata = read_cells(cells, reading)
    require_columns(adata, cells, batch_key=batch_key, labels_key=labels_key, reference_key=reference_key)
    try:
        scored = metrics.evaluate(
            adata,
            list(embeddings),
            batch_key,
            labels_key=labels_key,
            reference_mask=reference_key,
            unlabelled=unlabelled,
            scores="full" if full else "cheap",
            n_cells=n_cells,
            n_draws=n_draws,
        )
    except KeyboardInterrupt as stop:
        console.print(getattr(stop, "report", ""))
        raise
    write_file(out / "scores.csv", lambda file: for_csv(scored.scores).to_csv(file, index=False))
    if len(scored.per_label):
        write_file(out / "labels.csv", lambda file: for_csv(scored.per_label).to_csv(file, index=False))
    write_file(out / "evaluation.html", scored.to_html)
    figure = pl.report(scored)[0].figure
    write_file(out / "evaluation.png", lambda file: figure.savefig(file, dpi=150, bbox_inches="tight"))
    console.print(scored)
    console.print(f"wrote {out}")
