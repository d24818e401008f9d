"""Download the files of data sets once, from mirrors in turn, and keep them in the cache folder."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scarches_plus._files import cache_folder, private_folder
from scarches_plus._hdf5 import read_h5ad
from scarches_plus._http import AddressError, Download, Expected, TransferError, TryLaterError, WrongFileError, retry

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from anndata import AnnData


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes
    ----------
    name
        Name in the cache folder.
    sha256
        Hexadecimal digest of the contents.
    page
        Address at which a person downloads the file with a browser.
    mirrors
        Addresses to download from, in the order to try them.
    """

    name: str
    sha256: str
    page: str
    mirrors: tuple[str, ...]


def fetch(
    file: RemoteFile, cache_dir: str | os.PathLike[str] | None = None, *, rounds: int = 3, wait: float = 2.0
) -> Path:
    """Return the path of a file in the cache folder, downloading it if it is not there.

    Every mirror is tried, ``rounds`` times with ``wait`` seconds in between. A mirror that sends something else than
    the file is not asked again.

    Raises
    ------
    OSError
        If no mirror delivered the file. Nothing is left in the cache folder, and the message says how to place the
        file by hand.
    """
    path, expected = cache_folder(cache_dir) / file.name, Expected(f"sha256:{file.sha256}")
    if expected.is_at(path):
        return path
    if path.is_dir():
        message = f"{path} is a folder, where the file {file.name} should be; remove it"
        raise OSError(message)
    path.parent.mkdir(parents=True, exist_ok=True)
    failures: dict[str, str] = {}
    mirrors = list(file.mirrors)

    def once() -> Path:
        for url in tuple(mirrors):
            try:
                Download(expected, staging / file.name).place(url, path)
            except (AddressError, TransferError, FileNotFoundError) as error:
                failures[url] = str(error)
                if isinstance(error, WrongFileError):
                    mirrors.remove(url)
            else:
                return path
        message = "\n".join(
            [
                f"could not download {file.name}:",
                *(f"  {url}: {why}" for url, why in failures.items()),
                f"Download it with a browser from {file.page} and save it as {path}",
                f"It must have the sha256 {file.sha256}"
                + ("; the file there now has another." if path.exists() else "."),
            ]
        )
        raise TryLaterError(message, wait) if mirrors else OSError(message)

    with private_folder(path) as staging:  # goes, and with it what has arrived
        try:
            return retry(once, tries=rounds)
        except TryLaterError as error:
            raise OSError(str(error)) from error


def read_published(path: Path) -> AnnData:
    """Read an h5ad file without the deprecation warnings about its age, which only its publisher could act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return read_h5ad(path)
