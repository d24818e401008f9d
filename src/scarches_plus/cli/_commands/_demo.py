"""Define the command that shows the whole way from reference to report: demo."""

from __future__ import annotations

from pathlib import Path

from scarches_plus import tl
from scarches_plus.cli._app import AS_IT_IS, Epochs, Reading, Recipe, Unlabelled, Whole, Words
from scarches_plus.cli._files._inputs import (
    read_cells,
    require_columns,
    require_counts,
    require_different,
)
from scarches_plus.cli._files._outputs import (
    output_files,
)
from scarches_plus.cli._steps import (
    build_model,
    console,
    map_cells,
    split_cells,
    transfer_and_report,
)
from scarches_plus.datasets import pbmc68k


def demo(
    *,
    out: Path = Path("demo"),
    data: Path | None = None,
    batch_key: str = "batch",
    labels_key: str = "cell_type",
    reference_batches: Words = (),
    withhold: Words = (),
    unlabelled: Unlabelled = None,
    layer: str | None = None,
    recipe: Recipe = "scanvi",
    max_epochs: Epochs = None,
    seed: Whole = 0,
    reading: Reading = AS_IT_IS,
) -> None:
    """Build a reference from some batches, map the others, label, score and draw them.

    Without --data: 10x PBMC that the installed scanpy carries, five lanes as reference with its B cells withheld, three
    lanes as query. Writes mapped.h5ad, umap.png and report.html.

    Parameters
    ----------
    out
        Folder for the results.
    data
        A file of cells with raw counts, batches and labels, to run the same on.
    batch_key
        Column of batches.
    labels_key
        Column of cell types.
    reference_batches
        Batches that make up the reference; the others are the query.
    withhold
        Cell types to leave out of the reference: the query's own must come out as unknown.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    layer
        Layer with raw counts; X by default.
    recipe
        Recipe of the reference. Where its encoder does not see batches, the query is embedded without training.
    max_epochs
        Epochs of each training; by default 200, and 20 for scANVI's second part.
    seed
        Seed of the training.
    """
    require_different(batch_key=batch_key, labels_key=labels_key)
    if recipe == "totalvi":
        message = "the demo is of genes alone, and recipe totalvi takes proteins, too: use the commands build and map"
        raise ValueError(message)
    out = output_files(out, ("mapped.h5ad", "umap.png", "report.html"), {"--data": data, "--columns": reading.columns})
    if data is None:
        adata = pbmc68k()
        lanes = sorted(adata.obs["batch"].unique())
        reference_batches = reference_batches or tuple(lanes[:5])
        withhold = withhold or ("CD19+ B",)
    else:
        if not reference_batches:
            message = "name the batches of the reference: --reference-batches A B ..."
            raise ValueError(message)
        adata = read_cells(data, reading)
        require_columns(adata, data, batch_key=batch_key, labels_key=labels_key)
        require_counts(adata, data, layer)
    reference, query = split_cells(adata, batch_key, labels_key, reference_batches, withhold)
    console.print(
        f"reference: {reference.n_obs} cells of {', '.join(reference_batches)}"
        + (f", without {', '.join(withhold)}" if withhold else "")
        + f"\nquery: {query.n_obs} cells of {', '.join(sorted(query.obs[batch_key].astype(str).unique()))}"
    )
    model = build_model(
        reference,
        batch_key,
        labels_key,
        recipe=recipe,
        unlabelled=unlabelled,
        layer=layer,
        max_epochs=max_epochs,
        seed=seed,
    )
    if model.spec.encodes_batch:
        map_cells(query, model, strategy="condition", max_epochs=max_epochs, seed=seed)
    else:
        tl.embed(query, model)
        console.print("embedded the query without training: the encoder does not see batches")
    transfer_and_report(query, reference, labels_key, out, "Mapping demo", unlabelled=unlabelled)
