"""Define the commands that map a query, and many: map and map-many."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)
from typing import Literal

from scarches_plus import tl
from scarches_plus._arguments import at_home
from scarches_plus._cell_files import kind_of
from scarches_plus._files import check_apart
from scarches_plus.cli._app import AS_IT_IS, Count, Epochs, Jobs, Reading, Share, Unlabelled, Whole, Words
from scarches_plus.cli._files._inputs import (
    read_cells,
    read_hierarchy,
    require_columns,
    require_counts,
)
from scarches_plus.cli._files._models import open_model
from scarches_plus.cli._files._outputs import (
    CELLS,
    output_file,
    output_folder,
    size_of,
    write_cells,
)
from scarches_plus.cli._penalties import parse_penalties
from scarches_plus.cli._steps import (
    console,
    map_cells,
    trained_model_kept,
)


def map_(
    query: Path,
    *,
    model: str,
    out: Path,
    strategy: Literal["condition", "input_layers", "all", "clcvae"] = "condition",
    penalty: Words = (),
    layer: str | None = None,
    batch_key: str | None = None,
    shared_batches: Words = (),
    max_epochs: Epochs = None,
    engine: Literal["auto", "fast", "scvi"] = "auto",
    seed: Whole = 0,
    on_problem: Literal["raise", "warn"] = "raise",
    save_model: Path | None = None,
    overwrite: bool = False,
    batch: str | None = None,
    reading: Reading = AS_IT_IS,
) -> None:
    """Map query cells into the latent space of a reference model.

    Parameters
    ----------
    query
        A file of cells with raw counts.
    model
        What names the reference model: its folder or file, a bundle, an archive, a name of hub list, a DOI,
        hf://owner/repository.
    out
        The .h5ad file to write (.h5mu for an .h5mu file): the query with its embedding.
    strategy
        What trains: condition (the reference stays exactly where it is), input_layers, all, or clcvae (all, with
        elastic weight consolidation; the reference needs build --importance).
    penalty
        Terms of the loss instead of those that the reference was trained with, such as mmd, mmd:weight=10 or
        ewc:weight=100; none for no such term.
    layer
        Layer with raw counts (X for none), if not the reference's.
    batch_key
        Column of batches, if not the reference's.
    shared_batches
        Batches of the query that are the reference's own.
    max_epochs
        Epochs of training; 200 by default.
    engine
        scvi is scvi-tools' training in lightning's loop. fast follows it in long strides where only columns of batches
        train, and else takes the same steps without lightning. auto takes fast where it applies.
    seed
        Seed of the training.
    on_problem
        raise stops at problems that would mislead, warn goes on where it can.
    save_model
        Folder for the mapped model, a reference for the next query.
    overwrite
        Replace a model that is there.
    batch
        Name of a batch that all cells are of, for files that have no column of batches.
    """
    kind = kind_of(query)
    keeps = kind == "h5mu" and reading.modality is None
    reads = {"--model": at_home(model), "--columns": reading.columns}
    out = output_file(out, (".h5mu",) if keeps else CELLS, reads, updates=query)
    if save_model is not None:
        save_model = output_folder(
            save_model,
            {"the query": query, **reads},
            option="--save-model",
            overwrite=overwrite,
            n_bytes=size_of(at_home(model)),
        )
        check_apart({"--out": out, "--save-model": save_model})
    penalties = parse_penalties(penalty)
    reference = open_model(model)
    if strategy == "condition" and not reference.spec.encodes_batch:
        message = (
            f"the encoder of {model} does not see batches: embed the cells without training, scarches-plus embed "
            f"{query} --model {model} --out {out}, or train more with --strategy input_layers or all"
        )
        raise ValueError(message)
    adata = read_cells(query, reading, keep_modalities=keeps)
    key = batch_key or reference.spec.batch_key
    if batch is not None:
        if key in adata.obs:
            message = f"{query} has a column {key!r} of batches: leave --batch out, or name another with --batch-key"
            raise ValueError(message)
        adata.obs[key] = batch
    hint = "; if all cells are of one batch, name it: --batch NAME"
    require_columns(adata, query, hint=hint, batch_key=key)
    require_counts(adata, query, layer)
    with trained_model_kept(save_model):
        mapped = map_cells(
            adata,
            reference,
            strategy=strategy,
            penalties=penalties,
            layer=layer,
            batch_key=batch_key,
            shared_batches=shared_batches,
            max_epochs=max_epochs,
            engine=engine,
            seed=seed,
            on_problem=on_problem,
        )
    try:
        if save_model is not None:
            mapped.save(save_model, overwrite=overwrite)
    finally:  # one result is not lost with the other
        write_cells(adata, out)
    console.wrote(out)


def map_many(
    *queries: Path,
    reference: str,
    out: Path,
    jobs: Jobs = None,
    threads: Count = 1,
    scheduler: str | None = None,
    labels_key: str | None = None,
    batch_key: str | None = None,
    layer: str | None = None,
    modality: str | None = None,
    max_epochs: Epochs = None,
    seed: Whole = 0,
    unknown_above: Share = 0.5,
    unlabelled: Unlabelled = None,
    hierarchy: Path | None = None,
    probabilities: bool = False,
) -> None:
    """Do for many queries what annotate does for one by a model, several at a time.

    Writes an .h5ad file for each, a table (queries.csv) and a report (report.html). A query that fails stops no other.
    The same command again does what is left: queries that are done, and have not changed, are kept.

    Parameters
    ----------
    queries
        Files of cells with raw counts.
    reference
        What names a model: a bundle, its folder, a name of hub list, a DOI.
    out
        Folder for the results.
    jobs
        Queries at a time; by default as many as there are cores.
    threads
        Threads that each of them computes with.
    scheduler
        Address of a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers do the work.
    labels_key
        Column of labels in the reference, if not that which the model was trained on.
    batch_key
        Column of batches of the queries, if not the model's; without one all cells of a query are one batch.
    layer
        Layer with raw counts (X for none), if not the reference's.
    modality
        Modality of .h5mu files; by default that of the genes.
    max_epochs
        Epochs of the training; 200 by default.
    seed
        Seed of each query's training.
    unknown_above
        Uncertainty above which a cell is called unknown.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    hierarchy
        File with a hierarchy of the labels: a cell gets the deepest label that is certain enough.
    probabilities
        Also write the probabilities of all labels.
    """
    table = tl.map_many(
        queries,
        reference,
        out=out,
        client=scheduler,
        n_jobs=jobs,
        n_threads=threads,
        labels_key=labels_key,
        batch_key=batch_key,
        layer=layer,
        modality=modality,
        max_epochs=max_epochs,
        seed=seed,
        unknown_above=unknown_above,
        unlabelled=unlabelled,
        hierarchy=read_hierarchy(hierarchy),
        probabilities=probabilities,
    )
    console.result("queries", table, table["status"].value_counts(sort=False).to_string())
    console.wrote(at_home(out) / "queries.csv", at_home(out) / "report.html")
    failed = table[table["status"] == "failed"]
    if len(failed):
        first = failed.iloc[0]
        message = (
            f"{len(failed)} of {len(table)} queries failed, such as {first['query']}: {first['message']}; queries.csv "
            "lists them, and the same command again does what is left"
        )
        raise RuntimeError(message)
