"""Download files once, check them against their hash, and cache them."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pooch
from tqdm.auto import tqdm

from scarches_plus._files import cache_folder
from scarches_plus._hdf5 import read_h5ad
from scarches_plus._http import AddressError, TransferError, chunks, follow

if TYPE_CHECKING:
    import os

    from anndata import AnnData

_OK = 200


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
    path = cache_folder(cache_dir) / file.name
    if path.is_dir():  # pooch would put the file into it, and into what a link leads to
        message = f"{path} is a folder, where the file {file.name} should be; remove it"
        raise OSError(message)
    failures: dict[str, str] = {}
    mirrors = list(file.mirrors)
    for attempt in range(rounds):
        if attempt and mirrors:
            time.sleep(wait)
        for url in tuple(mirrors):
            try:
                pooch.retrieve(url, f"sha256:{file.sha256}", file.name, path.parent, downloader=_download)
            except (AddressError, TransferError) as error:
                failures[url] = str(error)
            except ValueError:  # pooch's word for a wrong hash
                failures[url] = "sent something else than the file (wrong sha256)"
                mirrors.remove(url)
            else:
                return path
    message = "\n".join(
        [
            f"could not download {file.name}:",
            *(f"  {url}: {why}" for url, why in failures.items()),
            f"Download it with a browser from {file.page} and save it as {path}",
            f"It must have the sha256 {file.sha256}" + ("; the file there now has another." if path.exists() else "."),
        ]
    )
    raise OSError(message)


def read_published(path: Path) -> AnnData:
    """Read an h5ad file without the deprecation warnings about its age, which only its publisher could act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return read_h5ad(path)


def _download(url: str, output_file: str, _pooch: Any) -> None:
    """Download a file for pooch; figshare's firewall answers 202 and an empty page to what is no browser."""
    with follow(url, {}) as answer:
        if answer.status_code != _OK:
            message = f"answers {answer.status_code} and no file; it may want a browser"
            raise TransferError(message)
        announced = answer.headers.get("Content-Length", "")
        total = int(announced) if announced.isdecimal() else None
        with Path(output_file).open("wb") as file, tqdm(total=total, unit="B", unit_scale=True) as bar:
            for chunk in chunks(answer):
                file.write(chunk)
                bar.update(len(chunk))
