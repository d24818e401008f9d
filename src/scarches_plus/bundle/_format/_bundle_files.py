"""Put the files of a bundle together."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from scarches_plus._json import finite, write_json
from scarches_plus._logging import logger
from scarches_plus.bundle._manifest import (
    ANCHORS,
    CHECKSUMS,
    IMPORTANCE,
    MANIFEST,
    README,
    REFERENCE,
    SCHEMA_VERSION,
    SUMMARY,
    WEIGHTS,
    BundleError,
    Card,
    Manifest,
    parse_manifest,
)
from scarches_plus.bundle._serialise._portable import take_apart
from scarches_plus.bundle._summary._fewest_cells import require_enough_cells
from scarches_plus.bundle._summary._pack_summary import pack_summary
from scarches_plus.train import summarize_reference

from ._card import card_text
from ._folder import checksums, sha256_of
from ._reference_cells import label_column, pack_reference
from ._state_tensors import pack_anchors, pack_importance
from ._tensors import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from scarches_plus._reference_summary import ReferenceSummary
    from scarches_plus.bundle._serialise._portable import PortableModel

_PACKAGES = ("scarches-plus", "scvi-tools", "torch", "anndata")
#: What the network says itself.
_OF_SPEC = {"counts", "encodes_batch"}


def parts_of(model: Any) -> tuple[PortableModel, int]:
    """Return what a model is taken apart into, and how many bytes its weights take."""
    parts = take_apart(model)
    return parts, sum(one.numel() * one.element_size() for one in parts.weights.values())


def bundle_files(
    model: Any,
    parts: PortableModel,
    card: Card | Mapping[str, Any] | None,
    keys: list[str],
    *,
    summary: ReferenceSummary | bool,
    importance: bool,
    anchors: bool,
    reference: AnnData | None,
    include: Sequence[Any],
    calibration: Mapping[str, Any] | None,
) -> dict[str, bytes]:
    """Return the files of a bundle by name.

    Parameters
    ----------
    model, parts
        Model, and what it was taken apart into.
    card, summary, importance, anchors, reference, include, calibration
        As in :func:`scarches_plus.hub.save_bundle`.
    keys
        Columns of labels.
    """
    state = parts.state
    files: dict[str, bytes] = {WEIGHTS: pack(parts.weights)}
    sections: dict[str, Any] = {
        "importance": None,
        "anchors": None,
        "reference": None,
    }
    if importance and state.importance is not None:
        files[IMPORTANCE], sections["importance"] = pack_importance(state.importance, parts.weights)
    if anchors:
        if state.anchors is None or state.anchors.space != state.space:
            message = "the model carries no anchors of its latent space; call sp.train.store_anchors(model) first"
            raise ValueError(message)
        files[ANCHORS], sections["anchors"] = pack_anchors(state.anchors)
    latent = _latent(model, keys, included="labels" in include) if summary is not False else {}
    held = None if isinstance(summary, bool) else _to_share(summary, state.space)
    require_enough_cells(latent, held)
    contents, sections["summary"] = pack_summary(latent, held, parts.spec.var_names)
    if contents is not None:
        files[SUMMARY] = contents
    if include:
        if reference is None:
            message = f"include={include} is taken from the reference's cells; pass them as reference="
            raise ValueError(message)
        files[REFERENCE], sections["reference"] = pack_reference(reference, model, include, keys)

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
    return files


def _latent(model: Any, keys: list[str], *, included: bool) -> dict[str, Any]:
    """Return the summaries that the model carries or can make, leaving the model as it is."""
    state, own = model.state, model.spec.labels_key
    summaries = {key: one for key, one in state.summaries.items() if one.space == state.space}
    why_not = _without_own_cells(model)
    if not keys and own and not why_not and label_column(model.adata, own) is not None:
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


def _to_share(summary: ReferenceSummary, space: str) -> ReferenceSummary:
    """Return a summary whose map shows no single cell, and without what belongs to another latent space."""
    picture, classifier = summary.map, summary.classifier
    if picture is not None and picture.space != space:
        logger.warning(
            "the map is of another latent space than the model's, or of an unknown one, and stays out of the bundle: "
            "make it again, sp.tl.reference_map(reference) after sp.tl.embed(reference, model)"
        )
        picture = None
    if classifier is not None and classifier.vote is not None and classifier.vote["space"] != space:
        logger.warning(
            "the classifier was fitted beside a vote in another latent space than the model's; in the bundle it labels "
            "by expression alone"
        )
        classifier = replace(classifier, vote=None)
    return replace(summary, map=None if picture is None else picture.without_cells(), classifier=classifier)


def _summary(model: Any, key: str) -> Any:
    labels = label_column(model.adata, key)
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
    since = [name for name in ("origin", "training") if not plain[name]]  # former versions of this package lack them
    for name in ("importance", "anchors", "summaries", *since):
        del plain[name]
    return {
        "model": {"class_name": parts.model_class, "arguments": parts.arguments},
        "cells": {name: value for name, value in spec.items() if name not in _OF_SPEC}
        | {"unmeasured_proteins": parts.unmeasured_proteins or {}},
        "training": {"n_cells": parts.n_cells, "history": parts.history or {}},
        "state": finite(plain),
    }


def _validated(values: dict[str, Any]) -> bytes:
    """Return a manifest that those who read it will take."""
    text = write_json({name: values[name] for name in Manifest.model_fields})
    try:
        parse_manifest(text, MANIFEST)
    except BundleError as error:
        message = f"the model does not fit into a manifest: {error}"
        raise ValueError(message) from error
    return text
