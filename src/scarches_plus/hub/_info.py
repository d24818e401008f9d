"""What a model says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scarches_plus.datasets._download import cache_folder

from ._folder import current, read_manifest
from ._index import find, read_indexes
from ._manifest import MANIFEST
from ._transport import fetch_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._manifest import Manifest


def info(
    name: str | Path,
    *,
    index: Sequence[str | Path] | str | Path = (),
    cache_dir: str | Path | None = None,
    allow_latest: bool = False,
    offline: bool = False,
) -> Manifest:
    """Return the manifest of a model, without fetching the model.

    Parameters
    ----------
    name
        Folder of a bundle, or a name as in :func:`pull`.
    index, cache_dir, allow_latest, offline
        As in :func:`pull`.

    Returns
    -------
    Manifest
        What the model says about itself.

    Raises
    ------
    KeyError
        If there is no such folder, and no index lists the model.
    OSError
        If the manifest cannot be fetched.
    BundleError
        If the manifest is damaged.
    """
    folder = current(Path(name).expanduser().absolute())
    if not (folder / MANIFEST).is_file():
        listed = find(str(name), read_indexes(index, offline=offline), allow_latest=allow_latest)
        entry = listed.entry
        key = f"{entry.name}-{entry.version}-{entry.files[MANIFEST].sha256[:12]}"  # type: ignore[index]
        folder = cache_folder(cache_dir) / "hub" / key
        for file in (MANIFEST, "SHA256SUMS"):
            fetch_file(listed.addresses(file), folder / file, entry.files[file], offline=offline)  # type: ignore[index]
    return read_manifest(folder)[0]
