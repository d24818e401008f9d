"""Resolve model names to index entries, and note the version taken for each name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._files import append_line, cache_folder, cache_subfolder
from scarches_plus._logging import logger
from scarches_plus.bundle import MANIFEST
from scarches_plus.hub._indexes._index import find, lists_doi, read_indexes, says_version

from ._doi import doi_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scarches_plus.hub._indexes._index import IndexEntry, Listed, Listing

RESOLVED = "resolved.jsonl"


def resolve(
    name: str,
    *,
    index: Sequence[str | Path] | str | Path,
    cache_dir: str | Path | None,
    allow_latest: bool,
    offline: bool,
) -> Listed:
    """Return the index entry of a model name.

    With ``allow_latest``, the version that was taken for a name without a version is noted.

    Raises
    ------
    KeyError
        If no index lists the model, or it is not clear which version.
    OSError
        If no index lists the model, and some could not be read.
    BundleError
        If a file given as an index is none.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    listing = _read(name, index, cache_dir=cache_dir, allow_latest=allow_latest, offline=offline)
    return _taken(name, listing, cache_dir=cache_dir, allow_latest=allow_latest)


def resolve_doi(
    name: str,
    *,
    index: Sequence[str | Path] | str | Path,
    cache_dir: str | Path | None,
    allow_latest: bool,
    offline: bool,
) -> Listed | None:
    """Return the index entry of a DOI, as :func:`resolve` does.

    ``None`` if no index lists it, with a warning of those not read.
    """
    listing = _read(name, index, cache_dir=cache_dir, allow_latest=allow_latest, offline=offline)
    if lists_doi(doi_of(name) or "", listing):
        return _taken(name, listing, cache_dir=cache_dir, allow_latest=allow_latest)
    listing.warn()
    return None


def _read(
    name: str,
    index: Sequence[str | Path] | str | Path,
    *,
    cache_dir: str | Path | None,
    allow_latest: bool,
    offline: bool,
) -> Listing:
    check.texts(name=name)
    check.flags(allow_latest=allow_latest, offline=offline)
    return read_indexes(index, cache_dir=cache_dir, offline=offline)


def _taken(name: str, listing: Listing, *, cache_dir: str | Path | None, allow_latest: bool) -> Listed:
    listed = find(name, listing, allow_latest=allow_latest)
    listing.warn()
    if allow_latest and not says_version(name, listed.entry):
        try:
            _note(cache_folder(cache_dir), name, listed.entry)
        except OSError as error:
            logger.warning("what %s stands for is not noted: %s", name, error)
    return listed


def _note(cache: Path, asked: str, entry: IndexEntry) -> None:
    """Write down which version was taken: one line of JSON more in ``resolved.jsonl``."""
    taken = {
        "asked": asked,
        "taken": f"{entry.name}@{entry.version}",
        "doi": entry.doi,
        "manifest": entry.files[MANIFEST].sha256,  # type: ignore[index]
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    logger.info("%s stands for %s", asked, " ".join(filter(None, [taken["taken"], entry.doi])))
    append_line(cache_subfolder(cache, "hub") / RESOLVED, json.dumps(taken))
