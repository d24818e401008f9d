"""Define commands that judge references and mappings: report, joint, evaluate, assess."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus import _keys, metrics, pl, tl
from scarches_plus._arguments import at_home
from scarches_plus._files import write_file
from scarches_plus._text import for_csv
from scarches_plus.cli._app import AS_IT_IS, Count, Jobs, Reading, Unlabelled, Words
from scarches_plus.cli._files._inputs import (
    read_cells,
    read_embeddings,
    read_hierarchy,
    require_columns,
    require_different,
)
from scarches_plus.cli._files._models import names_a_model, open_model, read_map, read_reference
from scarches_plus.cli._files._outputs import CELLS, output_file, output_files, write_cells
from scarches_plus.cli._steps import console, write_report

if TYPE_CHECKING:
    from anndata import AnnData


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


def joint(
    mapped: Path,
    *,
    reference: str,
    out: Path,
    reading: Reading = AS_IT_IS,
) -> None:
    """Join a mapped query with its reference in one file, which the command evaluate and scanpy take.

    Writes both with their embedding and all columns; the column mapping_role says which cells are the reference's.
    Counts are kept where both have them.

    Parameters
    ----------
    mapped
        A mapped query (.h5ad).
    reference
        The reference's cells with their embedding: a file, the folder of the command build, or a bundle with cells.
    out
        The .h5ad file to write.
    """
    reads = {"the mapped query": mapped, "--reference": at_home(reference), "--columns": reading.columns}
    out = output_file(out, CELLS, reads)
    both = tl.joint_embedding(read_reference(reference), read_cells(mapped, reading))
    write_cells(both, out)
    console.table("cells", both.obs[_keys.ROLE].value_counts(sort=False))
    console.wrote(out)


def evaluate(
    cells: Path,
    *,
    embeddings: Words = ("X_scarches",),
    batch_key: str,
    labels_key: str | None = None,
    sample_key: str | None = None,
    reference_key: str | None = None,
    unlabelled: Unlabelled = None,
    full: bool = False,
    n_cells: Jobs = None,
    n_draws: Jobs = None,
    out: Path = Path("evaluation"),
    reading: Reading = AS_IT_IS,
) -> None:
    """Score embeddings: mixing of batches, conservation of biology, types of one batch, mapping.

    Writes scores.csv (one row per embedding and score), labels.csv (per type, if there are labels), samples.csv (per
    sample, if these are named), evaluation.html and evaluation.png. Counts of .h5ad and .zarr are not read.

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
    sample_key
        Column of samples, such as donors, each of which is scored, too.
    reference_key
        Column that says which cells are the reference, for scores of mapping: booleans, or reference and query as in
        mapping_role, which the command joint writes and which is taken if none is named.
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
    require_different(labels_key=labels_key, sample_key=sample_key)
    tables = {"labels.csv": labels_key, "samples.csv": sample_key}
    names = ("scores.csv", *filter(tables.get, tables), "evaluation.html", "evaluation.png")
    out = output_files(out, names, {"the file of cells": cells, "--columns": reading.columns})
    adata = read_embeddings(cells, reading)
    require_columns(
        adata, cells, batch_key=batch_key, labels_key=labels_key, sample_key=sample_key, reference_key=reference_key
    )
    if adata.obs[batch_key].nunique() == 1:
        message = (
            f"all cells of {cells} are of one batch, and there is nothing to mix: put query and reference into one "
            f"file, scarches-plus joint {cells} --reference REFERENCE --out joint.h5ad"
        )
        raise ValueError(message)
    if reference_key is None and _keys.ROLE in adata.obs:
        reference_key = _keys.ROLE
    try:
        scored = metrics.evaluate(
            adata,
            list(embeddings),
            batch_key,
            labels_key=labels_key,
            sample_key=sample_key,
            reference_mask=_reference_mask(adata, reference_key),
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
    if sample_key:
        write_file(out / "samples.csv", lambda file: for_csv(scored.per_sample).to_csv(file, index=False))
    write_file(out / "evaluation.html", scored.to_html)
    figure = pl.report(scored)[0].figure
    write_file(out / "evaluation.png", lambda file: figure.savefig(file, dpi=150, bbox_inches="tight"))
    console.result("scores", scored.scores, scored)
    console.wrote(out)


def _reference_mask(adata: AnnData, key: str | None) -> Any:
    """Return the name of a column of booleans, or which cells have the role of the reference."""
    if key is None or not set(adata.obs[key].astype(str)) <= {_keys.REFERENCE, _keys.QUERY}:
        return key
    return (adata.obs[key].astype(str) == _keys.REFERENCE).to_numpy()


def assess(
    reference: str,
    *,
    model: str | None = None,
    batch_key: str | None = None,
    labels_key: str | None = None,
    query: Path | None = None,
    query_layer: str | None = None,
    query_batch_key: str | None = None,
    layer: str | None = None,
    hierarchy: Path | None = None,
    unlabelled: Unlabelled = None,
    min_cells: Count = 20,
    out: Path | None = None,
    reading: Reading = AS_IT_IS,
) -> None:
    """Say whether a reference is fit to be mapped onto, and a query to be mapped onto it, and what to do next.

    Leaves every study out in turn: studies that do not integrate, labels that were swapped or have several names, types
    that lie among others or have few cells. With --query: genes, depth, distance, and labels that its genes do not tell
    apart. The exit status is 2 if the reference is not ready or the query cannot be mapped.

    Parameters
    ----------
    reference
        The reference's cells with their embedding: a file, the folder of the command build, or what names a bundle with
        cells. With --model, cells without an embedding are embedded first; depth, distance and labels that genes
        confuse need raw counts.
    model
        What names the reference model; by default that of the folder or bundle.
    batch_key
        Column of studies to leave out in turn, if not the model's batches.
    labels_key
        Column of cell types, if not the model's.
    query
        A file of cells with raw counts that are to be mapped.
    query_layer
        The query's layer with raw counts, if not the model's.
    query_batch_key
        The query's column of batches, if not the model's.
    layer
        The reference's layer with raw counts, if not the model's.
    hierarchy
        File with a hierarchy of the labels: Newick, OBO, JSON, or lines of parent, child.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    min_cells
        Labels of fewer cells are named.
    out
        The .html file of the report to write.
    """
    require_different(batch_key=batch_key, labels_key=labels_key)
    if out is not None:
        reads = {
            "the reference": Path(reference),
            "--query": query,
            "--hierarchy": hierarchy,
            "--columns": reading.columns,
        }
        out = output_file(out, (".html",), reads)
    tree = read_hierarchy(hierarchy)
    opened = open_model(model) if model is not None else open_model(reference) if names_a_model(reference) else None
    cells = read_reference(reference) if names_a_model(reference) else read_cells(Path(reference), reading)
    require_columns(cells, Path(reference), batch_key=batch_key, labels_key=labels_key)
    asked = None if query is None else read_cells(query)
    if opened is not None and _keys.EMBEDDING not in cells.obsm:
        tl.embed(cells, opened, layer=layer)
    report = tl.assess_reference(
        cells,
        opened,
        batch_key=batch_key,
        labels_key=labels_key,
        query=asked,
        query_layer=query_layer,
        query_batch_key=query_batch_key,
        layer=layer,
        hierarchy=tree,
        unlabelled=unlabelled,
        min_cells=min_cells,
    )
    console.result("assessment", report, report)
    if out is not None:
        report.to_html(out)
        console.wrote(out)
    if not report.ok:
        message = f"{reference}: {report.verdict}"
        raise ValueError(message)
