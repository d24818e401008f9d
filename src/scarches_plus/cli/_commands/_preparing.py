"""Define commands that prepare and judge references: labels, assess."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import pp, tl
from scarches_plus._arguments import at_home
from scarches_plus._cells import names_of
from scarches_plus._files import write_file
from scarches_plus._keys import EMBEDDING
from scarches_plus._text import for_csv
from scarches_plus.cli._app import AS_IT_IS, Count, Reading, Share, Unlabelled
from scarches_plus.cli._console import console
from scarches_plus.cli._files._inputs import read_cells, read_hierarchy, require_columns, require_different
from scarches_plus.cli._files._models import names_a_model, open_model, read_reference
from scarches_plus.cli._files._outputs import CELLS, output_file, write_cells

if TYPE_CHECKING:
    from scarches_plus._label_tree import LabelTree


def labels(
    cells: Path,
    *,
    labels_key: str,
    study_key: str,
    tree: Path | None = None,
    min_score: Share = 0.85,
    unlabelled: Unlabelled = None,
    table: Path | None = None,
    out: Path,
    reading: Reading = AS_IT_IS,
) -> None:
    """Propose one name for each cell type that studies call by several, and rename labels by the edited table.

    First run: writes a table (.csv) of every study's labels, the name proposed for each, how it matches, and whether it
    is to be applied or checked. Edit its columns proposal and status (apply, check, keep). Second run, with --table:
    writes the cells (.h5ad) with the new names in the column LABELS_KEY_harmonized.

    Parameters
    ----------
    cells
        A file of cells of all studies.
    labels_key
        Column of cell types.
    study_key
        Column of studies.
    tree
        File of the names to match with: a hierarchy (Newick, JSON, lines of parent, child), or an ontology in OBO
        format, such as the Cell Ontology; by default the labels of the other studies.
    min_score
        Similarity from which words count as misspelt.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    table
        The edited table.
    out
        The .csv file of the table to write, or with --table the .h5ad file of cells.
    """
    require_different(labels_key=labels_key, study_key=study_key)
    reads = {"--tree": tree, "--table": table, "--columns": reading.columns}
    if table is None:
        out = output_file(out, (".csv",), {"the file of cells": cells, **reads})
    elif tree is not None:
        message = "--table has the new names; leave out --tree"
        raise ValueError(message)
    else:
        out = output_file(out, CELLS, reads, updates=cells)
    edited = None if table is None else _edited(table)
    names = None if tree is None else _names_in(tree)
    adata = read_cells(cells, reading)
    require_columns(adata, cells, labels_key=labels_key, study_key=study_key)
    studies = names_of(adata.obs[study_key])
    if pd.isna(studies).any():
        message = f"{pd.isna(studies).sum()} cells have no study in column {study_key!r}; fill it, or leave them out"
        raise ValueError(message)
    if edited is not None:
        adata.obs[f"{labels_key}_harmonized"] = edited.apply(adata.obs[labels_key], studies)
        write_cells(adata, out)
    else:
        given = {study: adata.obs.loc[studies == study, labels_key] for study in dict.fromkeys(studies)}
        harmony = pp.harmonize_labels(given, names, min_score=min_score, unlabelled=unlabelled)
        write_file(out, lambda file: for_csv(harmony.table).to_csv(file, index=False))
        console.result("labels", harmony.table, harmony)
    console.wrote(out)


def _names_in(tree: Path) -> Path | LabelTree | None:
    """Return the Path of an ontology, or the hierarchy in a file."""
    path = at_home(tree)
    return path if path.suffix.lower() in {".obo", ".owl"} and path.is_file() else read_hierarchy(tree)


def _edited(table: Path) -> pp.LabelHarmony:
    path = at_home(table)
    if not path.is_file():
        message = f"{path} is not a file; the command labels writes such a table without --table"
        raise FileNotFoundError(message)
    try:
        written = pd.read_csv(path, dtype=str, keep_default_na=False)
        return pp.LabelHarmony(written.replace(r"^'(?=[=+\-@])", "", regex=True))  # as for_csv guards formulas
    except ValueError as error:
        message = f"{path}: {error}"
        raise ValueError(message) from error


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
    console.result("assessment", report, report)
    if out is not None:
        report.to_html(out)
        console.wrote(out)
    if not report.ok:
        message = f"{reference}: {report.verdict}"
        raise ValueError(message)
