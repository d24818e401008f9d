"""Save a model as a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from scarches_plus import _arguments as check
from scarches_plus._cells import refuse_prototypes
from scarches_plus._files import check_output_folder, write_folder
from scarches_plus._options import check_options
from scarches_plus._reference_summary import ReferenceSummary

from ._finding._open import model_of
from ._format._folder import no_bundle
from ._manifest import (
    Card,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData

    from scarches_plus.model import SCANVI, SCVI, TOTALVI


Part = Literal["latent", "variance", "labels", "umap", "counts", "index"]


_RENAME = "call sp.train.summarize_reference(model, {new!r}, labels=model.adata.obs[{old!r}]) and pass {new!r}"
_RENAME_COLUMN = "rename the column, reference.obs.rename(columns={{{old!r}: {new!r}}}, inplace=True)"


def save_bundle(
    model: SCVI | SCANVI | TOTALVI | str | Path,
    path: str | Path,
    *,
    card: Card | Mapping[str, Any] | None = None,
    summary: ReferenceSummary | bool = True,
    importance: bool = True,
    anchors: bool = False,
    reference: AnnData | None = None,
    include: Part | Sequence[Part] = (),
    labels_key: str | Sequence[str] = (),
    calibration: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model as a folder of plain files that can be shared.

    ``manifest.json`` says everything about the model in words and numbers, ``weights.safetensors`` holds its weights,
    and ``README.md`` is a card for people. There is no pickle, and by default nothing about single cells: no labels, no
    indices, no names, no latent representation. Whatever happens while it is written, a bundle that was there stays
    whole until the new one takes its place; what a killed call left beside it is removed by the next one.

    Parameters
    ----------
    model
        Trained model of this package or of scvi-tools, with or without its cells; or the path of one.
    path
        Folder to write.
    card
        What people want to know, as a :class:`Card` or its fields.
    summary
        What stands in the place of the reference's cells where none is at hand. ``True``: a mixture of Gaussians for
        each label (:func:`scarches_plus.train.summarize_reference`), by which the model labels cells. One that the
        model carries is taken; else it is made of ``labels_key``, or of the labels that the model trained on. Columns
        may be those of a modality. Where there is neither, the bundle holds none, and a warning is logged. A
        :class:`~scarches_plus.tl.ReferenceSummary` (:func:`scarches_plus.tl.reference_summary`) is kept beside it, for
        :func:`scarches_plus.tl.detect_novel`, :func:`scarches_plus.tl.annotate`, :func:`scarches_plus.tl.place` and the
        consensus of :func:`scarches_plus.tl.transfer_labels`; the points of its map become anchors of 20 cells and
        more. What belongs to another latent space than the model's (map, weight of the vote) is left out with a
        warning. ``False``: nothing.
    importance
        Keep what the model knows of the importance of its weights (:func:`scarches_plus.train.estimate_importance`),
        for EWC.
    anchors
        Keep the cells that :func:`scarches_plus.train.store_anchors` kept. These are data of single cells.
    reference
        Reference cells, from which ``include`` is taken.
    include
        What to keep of every reference cell: ``"latent"`` (posterior means, ``obsm["X_scarches"]``), ``"variance"`` (of
        the same posterior, computed from the counts of the reference), ``"labels"`` (``labels_key`` in ``obs``),
        ``"umap"`` (``obsm["X_umap"]``), ``"counts"``, and ``"index"``, what :func:`scarches_plus.tl.index_neighbors`
        found, by which a search of them starts at once. These are data of single cells; names of cells are never kept.
    labels_key
        Columns of labels, for the summary and for ``include``.
    calibration
        Plain values to keep with the model, such as thresholds.
    overwrite
        Replace a bundle that is there. A folder with anything else in it is left alone.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder exists and ``overwrite`` is not set, or it is no bundle.
    OSError
        If it cannot be written, which is looked at first. What cannot be put in place in the end is kept elsewhere, and
        the message says where.
    ValueError
        If the model is not trained, or the card is not valid, or cells are asked for that are not there, or a component
        or a label of the summary has fewer than 20.
    TypeError
        If an argument of the model is no plain value, or the summary is none.
    """
    from ._format._bundle_files import bundle_files, parts_of

    folder = check.path("path", path).absolute()
    keys = [
        check.slot("labels_key", key, advice=_RENAME if reference is None else _RENAME_COLUMN)
        for key in check.names("labels_key", labels_key, or_one=True)
    ]
    include = list(check.names("include", include, or_one=True))  # type: ignore[arg-type]
    for part in include:
        check.choice("include", part, get_args(Part))
    check.flags(importance=importance, anchors=anchors, overwrite=overwrite)
    check.cells("reference", reference, mudata=True, or_none=True)
    refuse_prototypes(
        "reference", reference, "make a map of them, summary=sp.tl.ReferenceSummary(map=sp.tl.reference_map(...))"
    )
    if card is not None and not isinstance(card, Card):
        check_options("card", card, Card.model_fields, {})
    if calibration is not None:
        check.mapping("calibration", calibration)
    if not isinstance(summary, ReferenceSummary | bool):
        message = f"summary must be what sp.tl.reference_summary returned, True or False, not {check.shown(summary)}"
        raise TypeError(message)
    model = model_of(model)
    if keys and summary is False and "labels" not in include:
        message = f"labels_key={keys} is for the summary and for include=['labels'], and neither is asked for"
        raise ValueError(message)
    parts, n_bytes = parts_of(model)
    if reference is not None and "counts" in include:
        n_bytes += reference.__sizeof__()
    check_output_folder(folder, overwrite=overwrite, n_bytes=n_bytes, foreign=no_bundle)
    files = bundle_files(
        model, parts, card, keys,
        summary=summary, importance=importance, anchors=anchors, reference=reference, include=include,
        calibration=calibration,
    )  # fmt: skip
    write_folder(folder, files, overwrite=overwrite, foreign=no_bundle)
    return folder
