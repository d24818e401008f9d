"""Define commands that check cells and rename their genes: check, genes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scarches_plus import pp
from scarches_plus.cli._app import AS_IT_IS, Reading, Words
from scarches_plus.cli._console import console
from scarches_plus.cli._files._inputs import read_cells, require_counts
from scarches_plus.cli._files._models import model_or_cells, open_model
from scarches_plus.cli._files._outputs import CELLS, output_file, write_cells


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
    console.result("report", report, report)
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
