"""Define commands that judge cells before they are used: check, assess."""

from __future__ import annotations

from pathlib import Path

from scarches_plus import pp, tl
from scarches_plus._keys import EMBEDDING
from scarches_plus.cli._app import AS_IT_IS, Count, Reading, Unlabelled, Words
from scarches_plus.cli._console import console
from scarches_plus.cli._files._inputs import read_cells, read_hierarchy, require_columns, require_different
from scarches_plus.cli._files._models import names_a_model, open_model, read_reference
from scarches_plus.cli._files._outputs import output_file


def check_(
    cells: Path,
    *,
    model: str | None = None,
    layer: str | None = None,
    batch_key: str | None = None,
    shared_batches: Words = (),
    reading: Reading = AS_IT_IS,
) -> None:
    """Say what is wrong with cells and how to mend it, before anything is trained.

    What values that are not raw counts probably are, names of genes, batches and cells without counts. The exit status
    is 2 if the cells cannot be used as they are.

    Parameters
    ----------
    cells
        A file of cells with raw counts.
    model
        What names the reference that the cells are to be mapped onto: a model's folder or file, a bundle, a name of hub
        list, a DOI. Without it, what is wrong with any model is found.
    layer
        Layer with raw counts, if not the reference's; X by default.
    batch_key
        Column of batches, if not the reference's.
    shared_batches
        Batches of the cells that are the reference's own.
    """
    reference = None if model is None else open_model(model)
    adata = read_cells(cells, reading, keep_modalities=reference is not None and bool(reference.spec.modalities))
    report = pp.check_query(adata, reference, layer=layer, batch_key=batch_key, shared_batches=shared_batches)
    console.print(report)
    if not report.ok:
        message = f"{cells} cannot be used as it is: see the report"
        raise ValueError(message)


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
    if opened is not None and EMBEDDING not in cells.obsm:
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
    console.print(report)
    if out is not None:
        report.to_html(out)
        console.print(f"wrote {out}")
    if not report.ok:
        message = f"{reference}: {report.verdict}"
        raise ValueError(message)
