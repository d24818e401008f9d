"""Define commands that find, name and learn new cell types: novel, name, extend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scarches_plus import _keys, tl
from scarches_plus._arguments import at_home
from scarches_plus.cli._app import AS_IT_IS, Alpha, Reading, Unlabelled, Words
from scarches_plus.cli._files._inputs import read_cells, read_json, require_columns, require_counts, require_different
from scarches_plus.cli._files._models import open_model, read_reference, read_summary
from scarches_plus.cli._files._outputs import CELLS, output_file, output_folder, size_of, write_cells
from scarches_plus.cli._steps import console

if TYPE_CHECKING:
    from anndata import AnnData

    from scarches_plus._reference_summary import ReferenceSummary


def novel(
    query: Path,
    *,
    reference: str,
    labels_key: str | None = None,
    batch_key: str | None = None,
    out: Path,
    alpha: Alpha = 0.05,
    unlabelled: Unlabelled = None,
    layer: str | None = None,
    reference_layer: str | None = None,
    reading: Reading = AS_IT_IS,
) -> None:
    """Find the cells of a query that no label of the reference explains.

    Parameters
    ----------
    query
        A file of cells with raw counts, mapped or not.
    reference
        The reference's cells with raw counts, or what names a bundle that carries label profiles.
    labels_key
        Column of labels in the reference; a bundle needs none.
    batch_key
        Column of batches in the reference; a bundle needs none.
    out
        The .h5ad file to write.
    alpha
        Share of known cells that may be called novel, 0.005 to 0.3.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    layer
        Layer of the query with raw counts, if not X.
    reference_layer
        Layer of the reference with raw counts, if not X.
    """
    require_different(labels_key=labels_key, batch_key=batch_key)
    out = output_file(out, CELLS, {"--reference": at_home(reference), "--columns": reading.columns}, updates=query)
    known = _known(reference, labels_key, batch_key, reference_layer)
    adata = read_cells(query, reading)
    require_counts(adata, query, layer)
    tl.detect_novel(
        adata,
        known,
        labels_key,
        batch_key=batch_key,
        alpha=alpha,
        layer=layer,
        unlabelled=unlabelled,
        reference_layer=reference_layer,
    )
    write_cells(adata, out)
    _tell(adata)
    console.wrote(out)


def _tell(adata: AnnData) -> None:
    """Print how many of the novel cells may be known, and which types would hide."""
    record = adata.uns[_keys.UNS][_keys.NOVEL]["novel"]
    if not record["judged"]:
        console.print("nothing was judged: novel_state is 'not judged' and novel is False for all cells")
        return
    low, high = record["false_calls"]["low"], record["false_calls"]["high"]
    console.print(
        f"known cells among them: {low:.1%} to {high:.1%} in nine of ten scenarios; agreement with labels "
        f"{record['agreement']:.2f}, of the reference's batches {record['expected']:.2f}"
    )
    for label, among in zip(record["may_hide"]["label"], record["may_hide"]["among"], strict=True):
        console.print(f"a type as near to {among} as {label} is would hide among its cells")


def _known(
    reference: str, labels_key: str | None, batch_key: str | None, layer: str | None
) -> AnnData | ReferenceSummary:
    """Return the summary of a bundle, or the reference's cells with counts."""
    summary = read_summary(reference)
    if summary is not None:
        return summary
    if labels_key is None or batch_key is None:
        message = f"name the columns of {reference} with --labels-key and --batch-key; only a bundle needs none"
        raise ValueError(message)
    file = Path(reference)
    cells: AnnData = read_reference(reference, embedded=False)
    require_columns(cells, file, labels_key=labels_key, batch_key=batch_key)
    require_counts(cells, file, layer)
    return cells


#: Names of clusters as a file has them.
_NAMES = '{"novel 1": "delta"}'


def name(
    query: Path,
    *,
    names: Words,
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
        Clusters with their names, each written like "novel 1=delta"; or a JSON file of them, {"novel 1": "delta"}.
    out
        The .h5ad file to write.
    predictions
        Column of predicted labels, such as cell_type_pred; by default the labels that the command novel found.
    key_added
        Column to write.
    """
    file = None if any("=" in word for word in names) or len(names) != 1 else Path(names[0])
    out = output_file(out, CELLS, {"--names": file}, updates=query)
    given = _pairs(names) if file is None else read_json(file, "clusters with their names", example=_NAMES)
    adata = read_cells(query)
    require_columns(adata, query, predictions=predictions)
    tl.name_novel(adata, given, predictions, key_added=key_added)
    write_cells(adata, out)
    console.table("labels", adata.obs[key_added].value_counts(sort=False))
    console.wrote(out)


def _pairs(words: Words) -> dict[str, str]:
    """Return names by their clusters, of words such as ``novel 1=delta``."""
    given: dict[str, str] = {}
    for word in words:
        cluster, equals, name = (part.strip() for part in word.partition("="))
        if not (cluster and equals and name) or cluster in given:
            message = (
                f'--names takes "novel 1=delta" for each cluster, once, or a JSON file like {_NAMES}; not {word!r}'
            )
            raise ValueError(message)
        given[cluster] = name
    return given


def extend(
    cells: Path,
    *,
    model: str,
    labels_key: str,
    out: Path,
    reference: str | None = None,
    parents: Path | None = None,
    unlabelled: Unlabelled = None,
    overwrite: bool = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Teach a model the labels of mapped cells that it does not know.

    The classifier of scANVI learns them, and of other models the summary of labels that they carry. Writes a folder
    with the extended model, a reference for the next query.

    Parameters
    ----------
    cells
        The mapped cells with raw counts and labels (.h5ad, or .h5mu for totalVI), such as the command name writes.
    model
        What names the model that they were mapped with, such as the folder of map --save-model.
    labels_key
        Column of labels.
    out
        Folder to write.
    reference
        The reference's cells with their embedding: a file, the folder of the command build, or a bundle with cells.
    parents
        For a model with a hierarchy, a JSON file: new label to the label that contains it, or to null.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    overwrite
        Replace a model that is there.
    """
    reads = {
        "the file of cells": cells,
        "--model": at_home(model),
        "--reference": None if reference is None else at_home(reference),
        "--parents": parents,
    }
    out = output_folder(
        out, reads | {"--columns": reading.columns}, overwrite=overwrite, n_bytes=size_of(at_home(model))
    )
    given = (
        None if parents is None else read_json(parents, "new labels with what contains them", example='{"delta": null}')
    )
    known = open_model(model)
    adata = read_cells(cells, reading, keep_modalities=bool(known.spec.modalities))
    require_columns(adata, cells, labels_key=labels_key)
    require_counts(adata, cells, None)
    extended = tl.extend_reference(
        adata,
        known,
        labels_key,
        reference=None if reference is None else read_reference(reference),
        parents=given,
        unlabelled=unlabelled,
    )
    extended.save(out, overwrite=overwrite)
    console.wrote(out)
