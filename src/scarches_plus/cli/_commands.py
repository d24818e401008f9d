"""The commands of ``scarches-plus`` that build and map."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ._app import Words, app
from ._penalties import parse_penalties
from ._steps import (
    build_model,
    console,
    map_cells,
    read_hierarchy,
    save_with_cells,
    split_cells,
    stop,
    transfer_and_report,
    without_counts,
)


@app.command
def demo(
    *,
    out: Path = Path("demo"),
    data: Path | None = None,
    batch_key: str = "batch",
    labels_key: str = "cell_type",
    reference_batches: Words = (),
    withhold: Words = (),
    layer: str | None = None,
    recipe: str = "scanvi",
    max_epochs: int | None = None,
    seed: int = 0,
) -> None:
    """Build a reference from some batches, map the others, label, score and draw them.

    Without --data: 10x PBMC that the installed scanpy carries, five lanes as reference with its B cells withheld, three
    lanes as query. Writes mapped.h5ad, umap.png and report.html.

    Parameters
    ----------
    out
        Folder for the results.
    data
        An .h5ad file with raw counts, batches and labels, to run the same on.
    batch_key
        Column of batches.
    labels_key
        Column of cell types.
    reference_batches
        Batches that make up the reference; the others are the query.
    withhold
        Cell types to leave out of the reference: the query's own must come out as unknown.
    layer
        Layer with raw counts; X by default.
    recipe
        Recipe of the reference: scvi, scanvi or cvae.
    max_epochs
        Epochs of each training; by default 200, and 20 for scANVI's second part.
    seed
        Seed of the training.
    """
    if data is None:
        from scarches_plus.datasets import pbmc68k

        adata = pbmc68k()
        lanes = sorted(adata.obs["batch"].unique())
        reference_batches = reference_batches or tuple(lanes[:5])
        withhold = withhold or ("CD19+ B",)
    else:
        from ._files import read_h5ad

        adata = read_h5ad(data)
        if not reference_batches:
            stop("name the batches of the reference: --reference-batches A B ...")
    reference, query = split_cells(adata, batch_key, labels_key, reference_batches, withhold)
    console.print(
        f"reference: {reference.n_obs} cells of {', '.join(reference_batches)}"
        + (f", without {', '.join(withhold)}" if withhold else "")
        + f"\nquery: {query.n_obs} cells of {', '.join(sorted(query.obs[batch_key].astype(str).unique()))}"
    )
    model = build_model(reference, batch_key, labels_key, recipe=recipe, layer=layer, max_epochs=max_epochs, seed=seed)
    map_cells(query, model, strategy="condition", max_epochs=max_epochs, seed=seed)
    transfer_and_report(query, reference, labels_key, out, "Mapping demo")


@app.command
def build(
    reference: Path,
    *,
    batch_key: str,
    labels_key: str | None = None,
    out: Path,
    recipe: str = "scvi",
    penalty: Words = (),
    hierarchy: Path | None = None,
    layer: str | None = None,
    max_epochs: int | None = None,
    seed: int = 0,
    importance: bool = False,
    anchors: int = 0,
    overwrite: bool = False,
) -> None:
    """Train a reference model and embed the reference.

    Writes a folder with the model (which plain scvi-tools opens too) and reference.h5ad, the reference's cells with
    their embedding and labels but no counts, for the commands transfer and report.

    Parameters
    ----------
    reference
        An .h5ad file with raw counts.
    batch_key
        Column of batches.
    labels_key
        Column of cell types; recipe scanvi needs it.
    out
        Folder to write.
    recipe
        scvi, scanvi, cvae, trvae or bascvi.
    penalty
        Terms of the loss instead of the recipe's, such as mmd, mmd:on=decoder,weight=10 or batch_adversary:weight=10.
    hierarchy
        File with a hierarchy of the labels, for recipe scanvi: Newick, OBO, JSON, or lines of parent, child.
    layer
        Layer with raw counts; X by default.
    max_epochs
        Epochs of training.
    seed
        Seed of the training.
    importance
        Keep with the model how much each weight matters, for mapping with strategy clcvae or penalty ewc.
    anchors
        Keep so many cells with the model, without counts, for mapping a query of one batch with penalty mmd.
    overwrite
        Replace a model that is there.
    """
    from ._files import read_h5ad

    if out.exists() and not overwrite:
        stop(f"{out} exists; choose another folder or pass --overwrite")
    adata = read_h5ad(reference)
    model = build_model(
        adata,
        batch_key,
        labels_key,
        recipe=recipe,
        penalties=parse_penalties(penalty) or None,
        hierarchy=read_hierarchy(hierarchy),
        layer=layer,
        max_epochs=max_epochs,
        seed=seed,
    )
    if importance or anchors:
        from scarches_plus import train

        if importance:
            train.estimate_importance(model)
        if anchors:
            train.store_anchors(model, n_cells=anchors)
    save_with_cells(model, without_counts(adata), out, overwrite=overwrite)
    console.print(f"wrote {out}")


@app.command(name="map")
def map_(
    query: Path,
    *,
    model: Path,
    out: Path,
    strategy: Literal["condition", "input_layers", "all", "clcvae"] = "condition",
    penalty: Words = (),
    layer: str | None = None,
    batch_key: str | None = None,
    shared_batches: Words = (),
    max_epochs: int | None = None,
    engine: Literal["auto", "fast", "scvi"] = "auto",
    seed: int = 0,
    on_problem: Literal["raise", "warn"] = "raise",
    save_model: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Map query cells into the latent space of a reference model.

    Parameters
    ----------
    query
        An .h5ad file with raw counts.
    model
        Folder of a reference model. Nothing that its file says is executed.
    out
        The .h5ad file to write: the query with its embedding.
    strategy
        What trains: condition (the reference stays exactly where it is), input_layers, all, or clcvae (all, with elastic
        weight consolidation; the reference needs build --importance).
    penalty
        Terms of the loss, such as mmd, mmd:on=decoder,weight=10 or ewc:weight=100.
    layer
        Layer with raw counts (X for none), if not the reference's.
    batch_key
        Column of batches, if not the reference's.
    shared_batches
        Batches of the query that are the reference's own.
    max_epochs
        Epochs of training; 200 by default.
    engine
        fast follows scvi-tools' training in long strides, scvi is that training, auto takes fast where it applies.
    seed
        Seed of the training.
    on_problem
        raise stops at problems that would mislead, warn goes on where it can.
    save_model
        Folder for the mapped model, a reference for the next query.
    overwrite
        Replace a model that is there.
    """
    from ._files import read_h5ad, write_h5ad

    if save_model is not None and save_model.exists() and not overwrite:
        stop(f"{save_model} exists; choose another folder or pass --overwrite")
    adata = read_h5ad(query)
    mapped = map_cells(
        adata,
        model,
        strategy=strategy,
        penalties=parse_penalties(penalty),
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
        write_h5ad(adata, out)
    console.print(f"wrote {out}")
