"""Define commands that label cells and compare compositions: seeds, transfer, abundance."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scarches_plus import pp, tl
from scarches_plus._arguments import at_home
from scarches_plus._cell_files import kind_of
from scarches_plus._files import write_file
from scarches_plus._text import for_csv
from scarches_plus.cli._app import AS_IT_IS, Count, Reading, Share, Unlabelled, Words
from scarches_plus.cli._files._inputs import (
    OF_NOVEL,
    read_cells,
    read_hierarchy,
    read_json,
    require_columns,
    require_counts,
    require_different,
)
from scarches_plus.cli._files._models import read_reference, read_summary
from scarches_plus.cli._files._outputs import CELLS, output_file, write_cells
from scarches_plus.cli._steps import console


def seeds(
    cells: Path,
    *,
    markers: Path,
    n_seeds: Count = 50,
    layer: str | None = None,
    key_added: str = "seed_label",
    out: Path,
    reading: Reading = AS_IT_IS,
) -> None:
    """Label the cells that markers single out, for training with recipe scanvi.

    Writes the cells with a column of seeds: labels of the best cells, and Unknown for all others.

    Parameters
    ----------
    cells
        A file of cells with raw counts of all measured genes.
    markers
        A JSON file: label to a list of genes, or to {"positive": [...], "negative": [...]}.
    n_seeds
        Seeds of each label at most.
    layer
        Layer with raw counts; X by default.
    key_added
        Column to write.
    out
        The .h5ad file to write.
    """
    out = output_file(out, CELLS, {"--markers": markers, "--columns": reading.columns}, updates=cells)
    given = read_json(markers, "labels with their markers", example='{"B cell": ["MS4A1", "CD79A"]}')
    adata = read_cells(cells, reading)
    require_counts(adata, cells, layer)
    pp.seed_labels(adata, given, n_seeds, layer=layer, key_added=key_added)
    write_cells(adata, out)
    console.table("labels", adata.obs[key_added].value_counts(sort=False))
    console.wrote(out)


def abundance(
    cells: Path,
    *,
    labels_key: str,
    reference: str | None = None,
    groupby: str | None = None,
    groups: Words = (),
    sample_key: str | None = None,
    unlabelled: Unlabelled = None,
    novel_key: str | None = None,
    out: Path,
    reading: Reading = AS_IT_IS,
) -> None:
    """Compare which share of the cells each label has in two groups, with intervals.

    Labels count as uncertain where the file holds their probabilities. Writes a table, one row per label.

    Parameters
    ----------
    cells
        A file of labelled cells.
    labels_key
        Name of the labels.
    reference
        Compare with these cells (a file, the folder of the command build, or a bundle with cells) ...
    groupby
        ... or compare two groups of this column.
    groups
        The two groups, if the column has more.
    sample_key
        Column of samples (donors), so that intervals hold for further samples.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    novel_key
        Column of novel cells, as the command novel writes it ("novel"): they are left out.
    out
        The .csv file to write.
    """
    require_different(labels_key=labels_key, groupby=groupby, sample_key=sample_key)
    reads = {
        "the file of cells": cells,
        "--reference": None if reference is None else at_home(reference),
        "--columns": reading.columns,
    }
    out = output_file(out, (".csv",), reads)
    adata = read_cells(cells, reading)
    require_columns(adata, cells, groupby=groupby, sample_key=sample_key)
    require_columns(adata, cells, novel_key=novel_key, hint=OF_NOVEL)
    table = tl.differential_abundance(
        adata,
        labels_key,
        groupby,
        groups=groups or None,
        reference=None if reference is None else read_reference(reference),
        sample_key=sample_key,
        unlabelled=unlabelled,
        novel_key=novel_key,
    )
    write_file(out, for_csv(table).to_csv)
    columns = ["proportion1", "proportion2", "log2_ratio", "log2_ratio_low", "log2_ratio_high"]
    console.result("abundance", table, table[columns].round(3).to_string())
    console.wrote(out)


def transfer(
    mapped: Path,
    *,
    reference: str,
    labels_key: Words,
    out: Path,
    k: Count = 50,
    kernel: Literal["paper", "scarches", "gaussian"] = "paper",
    unknown_above: Share = 0.5,
    unlabelled: Unlabelled = None,
    hierarchy: Path | None = None,
    consensus: bool = False,
    novel_key: str | None = None,
    probabilities: bool = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Transfer labels from a reference to mapped cells.

    Parameters
    ----------
    mapped
        A mapped query (.h5ad or .h5mu).
    reference
        The reference's cells with their embedding: a file, the folder of the command build, or what names a bundle; a
        model that came without cells labels by its summary.
    labels_key
        Column of labels in the reference, or several.
    out
        The .h5ad file to write (.h5mu for an .h5mu file).
    k
        Number of neighbours that vote.
    kernel
        How distances weigh votes.
    unknown_above
        Uncertainty above which a cell is called unknown.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    hierarchy
        File with a hierarchy of the labels: a cell gets the deepest label that is certain enough.
    consensus
        Ask the bundle's classifier of expression, too: labels are then the consensus of vote and classifier.
    novel_key
        Column of novel cells, as the command novel writes it ("novel"): they are called unknown.
    probabilities
        Also write the probabilities of all labels, which the command abundance takes.
    """
    keeps = kind_of(mapped) == "h5mu" and reading.modality is None
    reads = {"--reference": at_home(reference), "--hierarchy": hierarchy, "--columns": reading.columns}
    out = output_file(out, (".h5mu",) if keeps else CELLS, reads, updates=mapped)
    tree = read_hierarchy(hierarchy)
    adata, cells = (
        read_cells(mapped, reading, keep_modalities=True),
        read_reference(reference, or_model=True, keep_modalities=True),
    )
    require_columns(adata, mapped, novel_key=novel_key, hint=OF_NOVEL)
    if hasattr(cells, "obs"):
        for key in labels_key:
            require_columns(cells, Path(reference), labels_key=key)
    summary = read_summary(reference) if consensus else None
    if consensus and summary is None:
        message = (
            f"--consensus takes the classifier of a bundle, and {reference} is none: scarches-plus bundle makes one"
        )
        raise ValueError(message)
    tl.transfer_labels(
        adata,
        cells,
        list(labels_key),
        k=k,
        kernel=kernel,
        unknown_above=unknown_above,
        unlabelled=unlabelled,
        hierarchy=tree,
        classifier=summary,
        novel_key=novel_key,
        probabilities=probabilities,
    )
    write_cells(adata, out)
    console.wrote(out)
