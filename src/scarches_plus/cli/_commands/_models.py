"""Define commands that embed cells and write bundles: embed, bundle."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)
from typing import Annotated, Literal

from cyclopts import Parameter

from scarches_plus import load, tl
from scarches_plus._arguments import at_home
from scarches_plus._cell_files import kind_of
from scarches_plus.cli._app import AS_IT_IS, Reading, Unlabelled, Whole, Words
from scarches_plus.cli._files._bundles import NOTHING_SAID, About, summary_of, write_bundle
from scarches_plus.cli._files._inputs import read_cells, require_columns, require_counts
from scarches_plus.cli._files._models import open_model
from scarches_plus.cli._files._outputs import CELLS, output_file, output_folder, size_of, write_cells
from scarches_plus.cli._steps import console

Parts = Annotated[
    tuple[Literal["latent", "variance", "labels", "umap", "counts", "index"], ...], Parameter(consume_multiple=True)
]


def embed(
    cells: Path,
    *,
    model: str,
    out: Path,
    layer: str | None = None,
    batch_key: str | None = None,
    reading: Reading = AS_IT_IS,
) -> None:
    """Embed cells without training: of batches that the model knows, or of any if its encoder does not see batches.

    Parameters
    ----------
    cells
        A file of cells with raw counts.
    model
        What names the model: its folder or file, a bundle, an archive, a name of hub list, a DOI,
        hf://owner/repository.
    out
        The .h5ad file to write (.h5mu for an .h5mu file): the cells with their embedding.
    layer
        Layer with raw counts (X for none), if not the reference's.
    batch_key
        Column of batches, if not the reference's.
    """
    keeps = kind_of(cells) == "h5mu" and reading.modality is None
    reads = {"--model": at_home(model), "--columns": reading.columns}
    out = output_file(out, (".h5mu",) if keeps else CELLS, reads, updates=cells)
    reference = open_model(model)
    adata = read_cells(cells, reading, keep_modalities=keeps)
    if reference.spec.encodes_batch:
        require_columns(adata, cells, batch_key=batch_key or reference.spec.batch_key)
    require_counts(adata, cells, layer)
    tl.embed(adata, reference, layer=layer, batch_key=batch_key)
    write_cells(adata, out)
    console.wrote(out)


def bundle(
    model: str,
    *,
    out: Path,
    reference: Path | None = None,
    labels_key: Words = (),
    batch_key: str | None = None,
    unlabelled: Unlabelled = None,
    layer: str | None = None,
    with_cells: Parts = (),
    summary: bool = True,
    importance: bool = False,
    anchors: Whole = 0,
    about: About = NOTHING_SAID,
    overwrite: bool = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Write a model as a bundle: plain files to share, that the commands hub push and hub verify take.

    Parameters
    ----------
    model
        What names the model: its folder or file, an archive, a name of hub list, a DOI, hf://owner/repository.
    out
        Folder to write.
    reference
        The reference's cells with raw counts; what follows needs them.
    labels_key
        Columns of labels, for what labels look like in the latent space and in counts.
    batch_key
        Column of batches, if not the model's.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    layer
        Layer with raw counts, if not the model's.
    with_cells
        What to keep of every reference cell: latent, variance, labels, umap, counts; index, by which a large
        reference is searched. These are data of single cells.
    summary
        Keep what labels (of the first column named) look like in counts, for the commands novel and annotate and for
        transfer --consensus, and the map. Mixtures of the latent space are kept in any case.
    importance
        Keep how much each weight matters, for strategy clcvae and penalty ewc; what the model has is always kept.
    anchors
        Keep so many cells without counts, for mapping a query of one batch with penalty mmd. These are data of single
        cells.
    overwrite
        Replace a bundle that is there.
    """
    from scarches_plus import train

    reads = {"the model": at_home(model), "--reference": reference, "--columns": reading.columns, "--card": about.card}
    out = output_folder(out, reads, overwrite=overwrite, n_bytes=size_of(at_home(model)), bundle=True)
    described = about.read()
    needs = {
        "--with-cells": with_cells, "--importance": importance, "--anchors": anchors,
        "--batch-key": batch_key, "--layer": layer, "--columns": reading.columns,
    }  # fmt: skip
    asked = [option for option, given in needs.items() if given]
    if reference is None and asked:
        message = f"{asked[0]} needs the reference's cells: name their file with --reference"
        raise ValueError(message)
    if not labels_key and "labels" in with_cells:
        message = "--with-cells labels needs --labels-key"
        raise ValueError(message)
    opened = open_model(model)
    options: dict[str, object] = {}
    if reference is not None:
        adata = read_cells(reference, reading, keep_modalities=True)
        key = batch_key or opened.spec.batch_key
        require_columns(adata, reference, batch_key=key)
        for one in labels_key:
            require_columns(adata, reference, labels_key=one)
        require_counts(adata, reference, layer or opened.spec.layer)
        opened = load(opened, adata)
        tl.embed(adata, opened, layer=layer, batch_key=batch_key)
        if importance:
            train.estimate_importance(opened)
        if anchors:
            train.store_anchors(opened, n_cells=anchors)
        if summary and labels_key and key is not None:
            genes = read_cells(reference, reading) if hasattr(adata, "mod") else adata
            options["summary"] = summary_of(genes, labels_key[0], key, layer or opened.spec.layer, unlabelled)
        if "index" in with_cells:
            tl.index_neighbors(adata)
        if with_cells:
            options |= {"reference": adata, "include": with_cells}
    write_bundle(
        opened,
        out,
        card=described,
        labels_key=labels_key,
        anchors=bool(anchors),
        overwrite=overwrite,
        **options,
    )
