"""Say in words how a query was mapped, and which of its columns a report is of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scarches_plus import _keys
from scarches_plus._html import as_text
from scarches_plus._logging import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

#: Settings that say nothing.
_NOTHING = {"", "[]", "{}"}
#: Settings that are kept as JSON.
_TRAINING = ("penalties", "inherited")


def mapping_of(query: AnnData) -> Mapping[str, Any]:
    """Return the record of the mapping of a query."""
    mapping: Mapping[str, Any] = _record(query).get("mapping", {})
    return mapping


def settings_of(query: AnnData, labels_key: str, novel_key: str | None) -> dict[str, object]:
    """Return how a query was mapped, with which versions, and which columns are reported."""
    mapping = mapping_of(query)
    settings = {
        str(key).replace("_", " "): value
        for key, value in mapping.items()
        if key not in {"drift", "versions", *_TRAINING} and as_text(value) not in _NOTHING
    }
    settings |= {name: text for name in _TRAINING if (text := _trained_by(mapping.get(name, "")))}
    return settings | dict(_record(query).get("versions", {})) | _columns_used(query, labels_key, novel_key)


def _record(query: AnnData) -> Mapping[str, Any]:
    record: Mapping[str, Any] = query.uns.get(_keys.UNS, {}).get(_keys.EMBEDDINGS, {}).get(_keys.EMBEDDING, {})
    return record


def _columns_used(query: AnnData, labels_key: str, novel_key: str | None) -> dict[str, str]:
    """Return, and log, which columns of the query a report is of."""
    n_labelled = int(query.obs[labels_key].notna().sum()) if labels_key in query.obs else 0
    used = {
        "column of predictions": _keys.predicted(labels_key),
        "column of uncertainties": _keys.uncertainty(labels_key),
        "true labels": f"column {labels_key} of the query, {n_labelled} cells" if n_labelled else "none in the query",
        "novel cells": f"column {novel_key}" if novel_key is not None else "not looked for",
    }
    for what, where in used.items():
        logger.info("report: %s: %s", what, where)
    return used


def _trained_by(text: object) -> str:
    """Return in words what a record says of penalties and training, kept as JSON."""
    try:
        kept = json.loads(str(text))
    except ValueError:
        return str(text)
    if isinstance(kept, dict):
        return "; ".join(f"{name.replace('_', ' ')}: {_penalties(one)}" for name, one in kept.items() if one)
    return _penalties(kept)


def _penalties(kept: object) -> str:
    if not isinstance(kept, list):
        return as_text(kept)
    names = []
    for one in kept:
        options = {name: value for name, value in one.items() if name != "name"} if isinstance(one, dict) else {}
        said = f" ({as_text(options)})" if options else ""
        names.append(f"{one['name'] if isinstance(one, dict) and 'name' in one else one}{said}")
    return ", ".join(names)
