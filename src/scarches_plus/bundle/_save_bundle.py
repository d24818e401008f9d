"""Save a model as a bundle."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

from scarches_plus import _arguments as check
from scarches_plus._files import check_output_folder, write_folder
from scarches_plus._json import finite, write_json
from scarches_plus._label_profiles import LabelProfiles
from scarches_plus._logging import logger
from scarches_plus._options import check_options

from ._format._card import card_text
from ._format._fewest_cells import require_enough_cells
from ._format._folder import checksums, no_bundle, sha256_of
from ._format._profile_tensors import pack_profiles
from ._format._reference_cells import labels_of, pack_reference
from ._format._state_tensors import pack_anchors, pack_importance, pack_summaries
from ._format._tensors import pack
from ._manifest import (
    ANCHORS,
    CHECKSUMS,
    IMPORTANCE,
    MANIFEST,
    PROFILES,
    README,
    REFERENCE,
    SCHEMA_VERSION,
    SUMMARIES,
    WEIGHTS,
    BundleError,
    Card,
    Manifest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData

    from scarches_plus.model import SCANVI, SCVI, TOTALVI

    from ._plain._portable import PortableModel

_PACKAGES = ("scarches-plus", "scvi-tools", "torch", "anndata")
Part = Literal["latent", "variance", "labels", "umap", "counts"]
_OF_SPEC = {"counts", "encodes_batch"}  # what the network says itself


_RENAME = "call sp.train.summarize_reference(model, {new!r}, labels=model.adata.obs[{old!r}]) and pass {new!r}"
_RENAME_COLUMN = "rename the column, reference.obs.rename(columns={{{old!r}: {new!r}}}, inplace=True)"


def save_bundle(  # noqa: PLR0915 (arguments are checked one by one)
    model: SCVI | SCANVI | TOTALVI | str | Path,
    path: str | Path,
    *,
    card: Card | Mapping[str, Any] | None = None,
    summary: bool = True,
    importance: bool = True,
    anchors: bool = False,
    reference: AnnData | None = None,
    include: Part | Sequence[Part] = (),
    labels_key: str | Sequence[str] = (),
    profiles: LabelProfiles | None = None,
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
        Keep a mixture of Gaussians for each label (:func:`scarches_plus.train.summarize_reference`), from which the
        model labels cells where no reference cell is at hand. One that the model carries is taken; else it is made of
        ``labels_key``, or of the labels that the model trained on. Columns may be those of a modality. Where there is
        neither, the bundle holds none, and a warning is logged.
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
        ``"umap"`` (``obsm["X_umap"]``) and ``"counts"``. These are data of single cells; names of cells are never kept.
    labels_key
        Columns of labels, for the summary and for ``include``.
    profiles
        What the labels look like in counts (:func:`scarches_plus.tl.label_profiles`), from which
        :func:`scarches_plus.tl.detect_novel` finds novel cells where no reference cell is at hand.
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
        of the summary, or a label of the profiles, has fewer than 20.
    TypeError
        If an argument of the model is no plain value, or profiles are none.
    """
    from ._layouts._open import model_of
    from ._plain._portable import take_apart

    folder = check.path("path", path).absolute()
    keys = [
        check.slot("labels_key", key, advice=_RENAME if reference is None else _RENAME_COLUMN)
        for key in check.names("labels_key", labels_key, or_one=True)
    ]
    include = list(check.names("include", include, or_one=True))  # type: ignore[arg-type]
    for part in include:
        check.choice("include", part, get_args(Part))
    check.flags(summary=summary, importance=importance, anchors=anchors, overwrite=overwrite)
    check.cells("reference", reference, mudata=True, or_none=True)
    if card is not None and not isinstance(card, Card):
        check_options("card", card, Card.model_fields, {})
    if calibration is not None:
        check.mapping("calibration", calibration)
    if not isinstance(profiles, LabelProfiles | None):
        message = f"profiles must be what sp.tl.label_profiles returned, not {check.shown(profiles)}"
        raise TypeError(message)
    model = model_of(model)
    if keys and not summary and "labels" not in include:
        message = f"labels_key={keys} is for the summary and for include=['labels'], and neither is asked for"
        raise ValueError(message)
    parts = take_apart(model)
    state = parts.state
    n_bytes = sum(one.numel() * one.element_size() for one in parts.weights.values())
    if reference is not None and "counts" in include:
        n_bytes += reference.__sizeof__()
    check_output_folder(folder, overwrite=overwrite, n_bytes=n_bytes, foreign=no_bundle)
    files: dict[str, bytes] = {WEIGHTS: pack(parts.weights)}
    sections: dict[str, Any] = {
        "importance": None,
        "anchors": None,
        "summaries": {},
        "reference": None,
        "profiles": None,
    }
    if importance and state.importance is not None:
        files[IMPORTANCE], sections["importance"] = pack_importance(state.importance, parts.weights)
    if anchors:
        if state.anchors is None or state.anchors.space != state.space:
            message = "the model carries no anchors of its latent space; call sp.train.store_anchors(model) first"
            raise ValueError(message)
        files[ANCHORS], sections["anchors"] = pack_anchors(state.anchors)
    summaries = _summaries(model, keys, included="labels" in include) if summary else {}
    if summaries:
        files[SUMMARIES], sections["summaries"] = pack_summaries(summaries)
    if include:
        if reference is None:
            message = f"include={include} is taken from the reference's cells; pass them as reference="
            raise ValueError(message)
        files[REFERENCE], sections["reference"] = pack_reference(reference, model, include, keys)
    if profiles is not None:
        files[PROFILES], sections["profiles"] = pack_profiles(profiles, parts.spec.var_names)
    require_enough_cells(summaries, profiles)

    described = (card if isinstance(card, Card) else Card(**(card or {}))).model_dump()
    hierarchy = getattr(model, "hierarchy", None)
    if hierarchy is not None and not described["label_hierarchy"]:
        described["label_hierarchy"] = {label: above for label, above in hierarchy.parents.items() if above is not None}
    values = {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "card": described,
        **_model_sections(parts),
        **sections,
        "calibration": finite(calibration or {}),
        "versions": {package: version(package) for package in _PACKAGES},
    }
    files[README] = card_text(values).encode()
    values["files"] = {name: {"size": len(contents), "sha256": sha256_of(contents)} for name, contents in files.items()}
    files[MANIFEST] = _validated(values)
    files[CHECKSUMS] = checksums({name: sha256_of(contents) for name, contents in files.items()})
    write_folder(folder, files, overwrite=overwrite, foreign=no_bundle)
    return folder


def _summaries(model: Any, keys: list[str], *, included: bool) -> dict[str, Any]:
    """Return the summaries that the model carries or can make, leaving the model as it is."""
    state, own = model.state, model.spec.labels_key
    summaries = {key: one for key, one in state.summaries.items() if one.space == state.space}
    why_not = _without_own_cells(model)
    if not keys and own and not why_not and labels_of(model.adata, own) is not None:
        keys = [own]
    for key in keys:
        if key in summaries or (why_not and included):
            continue
        if why_not:
            message = f"labels_key={key!r}: {why_not}, and carries summaries of {sorted(summaries)} only; leave it out"
            raise ValueError(message)
        summaries[key] = _summary(model, key)
    if not summaries:
        logger.warning("no summary of labels goes into the bundle: the model carries none, and no labels_key= is given")
    return summaries


def _summary(model: Any, key: str) -> Any:
    from scarches_plus.train import summarize_reference

    labels = labels_of(model.adata, key)
    if labels is None:
        message = f"labels_key={key!r} is no column of the model's cells; add it to their obs, or pass summary=False"
        raise ValueError(message)
    try:
        return summarize_reference(model, key, labels=list(labels), keep=False)
    except ValueError as error:
        message = f"{error}; pass summary=False, or other labels as labels_key="
        raise ValueError(message) from error


def _without_own_cells(model: Any) -> str:
    """Return why the cells of the reference are not at hand, if they are not."""
    if model.adata is None:
        return "the model came without cells"
    if model.minified_data_type is not None:
        return "the model's cells are minified"
    return "the model was mapped, so that its cells are the query's" if model.state.surgery is not None else ""


def _model_sections(parts: PortableModel) -> dict[str, Any]:
    state, spec = parts.state, asdict(parts.spec)
    plain = state.to_plain()
    for name in ("importance", "anchors", "summaries", *(() if state.origin else ("origin",))):
        del plain[name]  # former versions of this package know no origin
    return {
        "model": {"class_name": parts.model_class, "arguments": parts.arguments},
        "cells": {name: value for name, value in spec.items() if name not in _OF_SPEC}
        | {"unmeasured_proteins": parts.unmeasured_proteins or {}},
        "training": {"n_cells": parts.n_cells, "history": parts.history or {}},
        "state": finite(plain),
    }


def _validated(values: dict[str, Any]) -> bytes:
    """Return a manifest that those who read it will take."""
    from ._manifest import parse_manifest

    text = write_json({name: values[name] for name in Manifest.model_fields})
    try:
        parse_manifest(text, MANIFEST)
    except BundleError as error:
        message = f"the model does not fit into a manifest: {error}"
        raise ValueError(message) from error
    return text
