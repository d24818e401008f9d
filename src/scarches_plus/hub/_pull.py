"""Fetch the files of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus.datasets._download import cache_folder

from ._folder import read_manifest
from ._index import find, read_indexes
from ._manifest import MANIFEST, BundleError
from ._resolved import note_resolution
from ._transport import fetch_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def pull(
    name: str,
    *,
    index: Sequence[str | Path] | str | Path = (),
    cache_dir: str | Path | None = None,
    allow_latest: bool = False,
    offline: bool = False,
    max_bytes: int = 2**33,
    progress: bool = True,
) -> Path:
    """Fetch a model that an index lists, and return the folder of its bundle.

    Every file is compared with the size and sha256 of the index. What is in the cache is not fetched again; what broke off goes on.

    Where files are not public, the token of the environment (``ZENODO_TOKEN``, ``ZENODO_SANDBOX_TOKEN``, ``HF_TOKEN``) is used, at the
    service that it is for.

    Parameters
    ----------
    name
        ``"name@version"``, the DOI of a version, or the name alone if an index lists one version only.
    index
        Further indexes: addresses (https), files or folders. Also those in the environment variable
        ``SCARCHES_PLUS_HUB_INDEX``, separated by spaces. The package's own is always there. The first that lists the model is taken.
    cache_dir
        Where files are kept, if not in ``$SCARCHES_PLUS_CACHE`` or the platform's cache folder.
    allow_latest
        Take the newest version that an index lists if the name, or a DOI of all versions, does not say which. What was taken is
        logged, and written down in ``hub/resolved.jsonl`` in the cache.
    offline
        Fetch nothing, and use what is in the cache. Also with ``SCARCHES_PLUS_OFFLINE=1``.
    max_bytes
        Size of the model that is not refused.
    progress
        Show progress.

    Returns
    -------
    pathlib.Path
        Folder for :func:`load_bundle`; not to be changed.

    Raises
    ------
    KeyError
        If no index lists the model, or it is not clear which version.
    OSError
        If a file cannot be fetched, naming what each mirror answered.
    BundleError
        If an index or a file is not what it says, or the model is too large.
    """
    listed = find(name, read_indexes(index, offline=offline), allow_latest=allow_latest)
    entry = listed.entry
    size = sum(one.size for one in entry.files.values())
    if size > max_bytes:
        message = f"{entry.name}@{entry.version} has {size} bytes, more than max_bytes={max_bytes}"
        raise BundleError(message)
    if MANIFEST not in entry.files:
        message = f"{listed.source} lists no {MANIFEST} for {entry.name}@{entry.version}"
        raise BundleError(message)
    key = f"{entry.name}-{entry.version}-{entry.files[MANIFEST].sha256[:12]}"  # type: ignore[index]
    folder = cache_folder(cache_dir) / "hub" / key
    if allow_latest and name not in {f"{entry.name}@{entry.version}", entry.doi}:
        note_resolution(folder.parent, name, entry)
    for file, pinned in entry.files.items():
        fetch_file(listed.addresses(file), folder / file, pinned, offline=offline, progress=progress)
    read_manifest(folder)
    return folder
