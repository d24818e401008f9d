"""Pull the files of a model from an index, Zenodo or Hugging Face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._files import check_space
from scarches_plus.bundle import BundleError, read_manifest

from ._names._doi import doi_of
from ._names._resolve import resolve, resolve_doi
from ._records import fetch_record, place_of
from ._web._fetch_file import fetch_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ._indexes._index import Listed


def pull(
    name: str,
    *,
    index: Sequence[str | Path] | str | Path = (),
    cache_dir: str | Path | None = None,
    allow_latest: bool = False,
    offline: bool = False,
    max_bytes: int = 2**33,
    progress: bool = True,
    with_cells: bool = False,
) -> Path:
    """Fetch a model that an index lists, or that lies at Zenodo or Hugging Face, and return where it is.

    Every file is compared with the size and sha256 of the index. What is in the cache is not fetched again; what broke
    off goes on. Without an index, files are compared with the sizes and checksums of their service, and these and their
    sha256 are written down in ``hub/pins`` in the cache when they are first used: what has changed since is an error.
    Models that come with the package are not copied. Where an index of the web cannot be reached, its last copy in the
    cache is used.

    Where files are not public, the token of the environment (``ZENODO_TOKEN``, ``ZENODO_SANDBOX_TOKEN``, ``HF_TOKEN``)
    is used, at the service that it is for.

    Parameters
    ----------
    name
        ``"name@version"``, the DOI of a version, or the name alone if an index lists one version only. Without an
        index: a DOI of Zenodo, ``"https://zenodo.org/records/123"``,
        ``"https://zenodo.org/records/123/files/model.zip"`` where one of several files is meant,
        ``"hf://owner/repository"``, with ``"@revision"``, ``"/folder"`` or both after it, or the address of a
        repository's page.
    index
        Further indexes: addresses (https), files or folders. Also those in the environment variable
        ``SCARCHES_PLUS_HUB_INDEX``, separated by spaces. The package's own is always there. The first that lists the
        model is taken.
    cache_dir
        Where files are kept, if not in ``$SCARCHES_PLUS_CACHE`` or the platform's cache folder.
    allow_latest
        Take the newest version that an index lists if the name, or a DOI of all versions, does not say which. What was
        taken is logged, and written down in ``hub/resolved.jsonl`` in the cache. Also for the DOI of all versions of a
        record, and for what a branch of a repository is now: without this, a branch stays what it was when it was first
        used.
    offline
        Fetch nothing, and use what is in the cache. Also with ``SCARCHES_PLUS_OFFLINE=1``.
    max_bytes
        Size of the model that is not refused.
    progress
        Show progress.
    with_cells
        Fetch the cells beside a saved model of a record or repository, too (``adata.h5ad``, ``mdata.h5mu``), if there
        are any.

    Returns
    -------
    pathlib.Path
        Folder for :func:`load_bundle`; from a record or repository also that of a saved model, or an archive; not to be
        changed.

    Raises
    ------
    KeyError
        If no index lists the model, or it is not clear which version.
    ValueError
        If it is not clear which file of a record is the model, naming them; if an address is none of a record or
        repository.
    OSError
        If a file cannot be fetched, naming what each mirror answered; if no index lists the model, and some could not
        be read.
    BundleError
        If a file, or one given as ``index``, is not what it says, or the model is too large, or a record is not what it
        was.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.texts(name=name)
    max_bytes = check.whole("max_bytes", max_bytes, least=1)
    check.flags(allow_latest=allow_latest, offline=offline, progress=progress, with_cells=with_cells)
    place = place_of(name)
    if place is None:
        listed = resolve(name, index=index, cache_dir=cache_dir, allow_latest=allow_latest, offline=offline)
        return _fetch_listed(listed, cache_dir=cache_dir, offline=offline, max_bytes=max_bytes, progress=progress)
    if doi_of(name):
        known = resolve_doi(name, index=index, cache_dir=cache_dir, allow_latest=allow_latest, offline=offline)
        if known is not None:
            return _fetch_listed(known, cache_dir=cache_dir, offline=offline, max_bytes=max_bytes, progress=progress)
    return fetch_record(
        place, cache_dir=cache_dir, allow_latest=allow_latest, offline=offline, max_bytes=max_bytes, progress=progress,
        with_cells=with_cells,
    )  # fmt: skip


def _fetch_listed(
    listed: Listed, *, cache_dir: str | Path | None, offline: bool, max_bytes: int, progress: bool
) -> Path:
    entry = listed.entry
    size = sum(one.size for one in entry.files.values())
    if size > max_bytes:
        message = f"{entry.name}@{entry.version} has {size} bytes, more than max_bytes={max_bytes}"
        raise BundleError(message)
    folder = listed.folder(cache_dir)
    if not listed.embedded:
        missing = sum(one.size for file, one in entry.files.items() if not (folder / file).is_file())
        if missing:
            check_space(folder, missing)
        first = 0
        for file in entry.files:
            places = listed.addresses(file)
            places = places[first:] + places[:first]  # the mirror that delivered is asked first
            first += fetch_file(places, folder / file, listed.expected(file), offline=offline, progress=progress)
            first %= len(places)
    read_manifest(folder)
    return folder
