"""Return the manifest of a model by path, name, DOI or address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._arguments import at_home
from scarches_plus.bundle import CHECKSUMS, MANIFEST, MODEL_FILE, read_bundle, read_manifest

from ._names._doi import doi_of
from ._names._local import is_path
from ._names._resolve import resolve, resolve_doi
from ._pull import pull
from ._records import place_of
from ._web._fetch_file import fetch_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scarches_plus.bundle import Manifest


def info(
    name: str | Path,
    *,
    index: Sequence[str | Path] | str | Path = (),
    cache_dir: str | Path | None = None,
    allow_latest: bool = False,
    offline: bool = False,
) -> Manifest:
    """Return the manifest of a model, without fetching the model where an index lists it.

    Parameters
    ----------
    name
        Folder or archive of a bundle, or a name as in :func:`pull`.
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
        If the manifest cannot be fetched, or no index lists the model and some could not be read.
    BundleError
        If the manifest is damaged, or the folder holds a saved model instead.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.path("name", name)
    check.flags(allow_latest=allow_latest, offline=offline)
    try:
        return read_bundle(at_home(name), _of_folder)
    except FileNotFoundError as error:
        no_folder = str(error)
    where = {"index": index, "cache_dir": cache_dir, "allow_latest": allow_latest, "offline": offline}
    known = resolve_doi(str(name), **where) if doi_of(str(name)) else None  # type: ignore[arg-type]
    if known is None and place_of(str(name)) is not None:
        return read_bundle(pull(str(name), **where), _of_folder)  # type: ignore[arg-type]
    if known is None and is_path(str(name)) and not doi_of(str(name)):  # a typo of a path asks nobody
        raise KeyError(no_folder)
    try:
        listed = known or resolve(str(name), **where)  # type: ignore[arg-type]
    except KeyError as error:
        message = f"{no_folder}, and {error.args[0]}"
        raise KeyError(message) from error
    folder = listed.folder(cache_dir)
    for file in () if listed.embedded else (MANIFEST, CHECKSUMS):
        fetch_file(listed.addresses(file), folder / file, listed.expected(file), offline=offline)
    return read_manifest(folder)[0]


def _of_folder(folder: Path) -> Manifest:
    if not any((folder / name).is_file() for name in (MANIFEST, MODEL_FILE)):
        message = f"{folder} is no folder with a {MANIFEST}"
        raise FileNotFoundError(message)
    return read_manifest(folder)[0]
