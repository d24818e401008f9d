"""The commands of ``scarches-plus`` that find new types, name them, and teach them to a reference."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)

from ._app import app
from ._steps import console, stop


@app.command
def novel(
    query: Path,
    *,
    reference: Path,
    labels_key: str | None = None,
    batch_key: str | None = None,
    out: Path,
    alpha: float = 0.05,
    layer: str | None = None,
    reference_layer: str | None = None,
) -> None:
    """Find the cells of a query that no label of the reference explains.

    Parameters
    ----------
    query
        An .h5ad file with raw counts, mapped or not.
    reference
        The reference's cells with raw counts (.h5ad), or a bundle (folder) that carries label profiles.
    labels_key
        Column of labels in the reference; a bundle needs none.
    batch_key
        Column of batches in the reference; a bundle needs none.
    out
        The .h5ad file to write.
    alpha
        Share of known cells that may be called novel.
    layer
        Layer of the query with raw counts, if not X.
    reference_layer
        Layer of the reference with raw counts, if not X.
    """
    from scarches_plus import hub, tl

    from ._files import read_h5ad, write_h5ad

    adata = read_h5ad(query)
    tl.detect_novel(
        adata,
        hub.load_profiles(reference) if reference.is_dir() else read_h5ad(reference),
        labels_key,
        batch_key=batch_key,
        alpha=alpha,
        layer=layer,
        reference_layer=reference_layer,
    )
    write_h5ad(adata, out)
    clusters = adata.obs["novel_cluster"].value_counts()
    console.print(
        f"{int(adata.obs['novel'].sum())} of {adata.n_obs} cells are novel, in {len(clusters)} clusters of novel cells"
    )
    console.print(f"wrote {out}")


@app.command
def name(
    query: Path,
    *,
    names: Path,
    out: Path,
    predictions: str | None = None,
    key_added: str = "novel_named",
) -> None:
    """Name clusters of novel cells.

    Writes the cells with a column of labels: names of novel cells, predictions of known ones, Unknown for all others.

    Parameters
    ----------
    query
        An .h5ad file that the command novel wrote.
    names
        A JSON file: cluster to name, such as {"novel 1": "delta"}.
    out
        The .h5ad file to write.
    predictions
        Column of predicted labels, such as cell_type_pred; by default the labels that the command novel found.
    key_added
        Column to write.
    """
    import json

    from scarches_plus import tl

    from ._files import read_h5ad, write_h5ad

    given = json.loads(names.read_text(encoding="utf-8"))
    if not isinstance(given, dict):
        message = f"{names} holds no clusters with their names, but a {type(given).__name__}"
        raise TypeError(message)
    adata = read_h5ad(query)
    tl.name_novel(adata, given, predictions, key_added=key_added)
    write_h5ad(adata, out)
    console.print(adata.obs[key_added].value_counts(sort=False).to_string())
    console.print(f"wrote {out}")


@app.command
def extend(
    cells: Path,
    *,
    model: Path,
    labels_key: str,
    out: Path,
    reference: Path | None = None,
    parents: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Teach a scANVI model the labels of mapped cells that it does not know.

    Writes a folder with the extended model, a reference for the next query.

    Parameters
    ----------
    cells
        The mapped cells with raw counts and labels (.h5ad), such as the command name writes.
    model
        Folder of the model that they were mapped with (map --save-model). Nothing that its file says is executed.
    labels_key
        Column of labels.
    out
        Folder to write.
    reference
        The reference's cells with their embedding (reference.h5ad of the command build).
    parents
        For a model with a hierarchy, a JSON file: new label to the label that contains it, or to null.
    overwrite
        Replace a model that is there.
    """
    import json

    from scarches_plus import tl
    from scarches_plus.model import load

    from ._files import read_h5ad

    if out.exists() and not overwrite:
        stop(f"{out} exists; choose another folder or pass --overwrite")
    extended = tl.extend_reference(
        read_h5ad(cells),
        load(model),  # type: ignore[arg-type]
        labels_key,
        reference=None if reference is None else read_h5ad(reference),
        parents=None if parents is None else json.loads(parents.read_text(encoding="utf-8")),
    )
    record = extended.state.lineage[-1]
    extended.save(out, overwrite=overwrite)
    for label, n_cells in record["new_labels"].items():
        console.print(f"{label}: learned from {n_cells} cells")
    if "reference_changed" in record:
        console.print(f"{record['reference_changed']:.2%} of the reference's cells would be given a new label")
    console.print(f"wrote {out}")
