"""Define commands that check cells and rename genes and labels: check, genes, labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from scarches_plus import pp
from scarches_plus._arguments import at_home
from scarches_plus._cells import names_of
from scarches_plus._files import write_file
from scarches_plus._text import for_csv
from scarches_plus.cli._advice import in_options
from scarches_plus.cli._app import AS_IT_IS, Reading, Share, Unlabelled, Words
from scarches_plus.cli._console import console
from scarches_plus.cli._files._inputs import (
    read_cells,
    read_hierarchy,
    require_columns,
    require_counts,
    require_different,
)
from scarches_plus.cli._files._models import model_or_cells, open_model
from scarches_plus.cli._files._outputs import CELLS, output_file, write_cells

if TYPE_CHECKING:
    from scarches_plus._label_tree import LabelTree


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
    console.result("report", report, in_options(str(report)))
    if not report.ok:
        message = f"{cells} cannot be used as it is: see the report"
        raise ValueError(message)


def genes(
    cells: Path,
    *,
    to: Literal["symbol", "ensembl"] | None = None,
    orthologs: bool = False,
    model: str | None = None,
    species: Literal["human", "mouse"] | None = None,
    table: Path | None = None,
    paralogs: bool = False,
    keep_unmapped: bool = False,
    layer: str | None = None,
    out: Path,
    reading: Reading = AS_IT_IS,
) -> None:
    """Rename genes: symbols and Ensembl ids, orthologs of human and mouse, or the names that a model has.

    Prints what was mapped, lost, summed or ambiguous. Needs no network.

    Parameters
    ----------
    cells
        A file of cells with raw counts.
    to
        Kind of the new names; by default the one that the genes do not have, and with --orthologs the one that they
        have.
    orthologs
        Give mouse genes the names of human ones, or human genes those of mouse.
    model
        Give genes the names that a reference has for them: what names a model, or a file of cells.
    species
        Species of the cells; recognised by default.
    table
        A .csv or .tsv file from old to new names, instead of the tables of the package.
    paralogs
        With --orthologs: add genes that share a partner (mouse Ins1 to Ins2, human INS).
    keep_unmapped
        Keep genes that get no new name, under their own.
    layer
        Layer with raw counts; X by default.
    out
        The .h5ad file to write.
    """
    _check(to, species, table, model, orthologs=orthologs, paralogs=paralogs, keep_unmapped=keep_unmapped)
    reads = {"--table": table, "--columns": reading.columns, "--model": None if model is None else Path(model)}
    out = output_file(out, CELLS, reads, updates=cells)
    adata = read_cells(cells, reading)
    require_counts(adata, cells, layer)
    if layer is None and len(adata.layers):  # which are left behind: the counts may be in one of them
        pp.require_counts(adata)
    unmapped: Literal["keep", "drop"] = "keep" if keep_unmapped else "drop"
    if model is not None:
        renamed, report = pp.match_gene_names(adata, model_or_cells(model), layer=layer)
    elif orthologs:
        many_to_one: Literal["sum"] | None = "sum" if paralogs else None
        renamed, report = pp.map_orthologs(
            adata, table or species, to=to, many_to_one=many_to_one, unmapped=unmapped, layer=layer
        )
    else:
        renamed, report = pp.map_gene_ids(adata, table, to=to, species=species, unmapped=unmapped, layer=layer)
    write_cells(renamed, out)
    console.result("report", report, report)
    console.wrote(out)


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
    return pp.LabelHarmony.read(path)


def _check(
    to: str | None,
    species: str | None,
    table: Path | None,
    model: str | None,
    **switches: bool,
) -> None:
    given: dict[str, object] = {"--to": to, "--species": species, "--table": table}
    given |= {f"--{name.replace('_', '-')}": value for name, value in switches.items()}
    useless = [option for option, value in given.items() if value]
    if model is not None and useless:
        message = f"--model tells the names to give; leave out {', '.join(useless)}"
        raise ValueError(message)
    if switches["paralogs"] and (not switches["orthologs"] or table is not None):
        message = "--paralogs goes with --orthologs, and the tables of the package"
        raise ValueError(message)
    if table is not None and (to is not None or species is not None):
        message = "--table has the new names; leave out --to and --species"
        raise ValueError(message)
