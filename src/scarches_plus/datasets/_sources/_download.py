"""Download the files of data sets once, from mirrors in turn, and keep them in the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scarches_plus._files import cache_folder, open_regular, private_folder, write_file
from scarches_plus._hdf5 import read_h5ad
from scarches_plus._http import AddressError, Download, Expected, TransferError, TryLaterError, WrongFileError, retry

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
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
        Hexadecimal digest of the contents. ``None`` if none is published: the file is then pinned once it was
        read, and what it was lies beside it in ``{name}.sha256``.
    page
        Address at which a person downloads the file with a browser.
    mirrors
        Addresses to download from, in the order to try them.
    size
        About how large it is, for messages.
    beginning
        First bytes of such a file, by which a web page in its place is told apart while it is not pinned.
    """

    name: str
    sha256: str | None
    page: str
    mirrors: tuple[str, ...]
    size: str = ""
    beginning: bytes = b"\x89HDF"


@dataclass(frozen=True)
class _FirstUse(Expected):
    """Accept any file of a format: it is looked at for the first time."""

    checksum: str = ""
    beginning: bytes = b""

    def __post_init__(self) -> None:
        """Need no checksum, which none has published."""

    @property
    def kind(self) -> str:
        return "format"

    def is_at(self, path: Path) -> bool:
        if not path.is_file():
            return False
        with open_regular(path.resolve()) as file:
            return file.read(len(self.beginning)) == self.beginning


class _Pin:
    """Digest of a file when it was first read, in a file beside it that ``sha256sum --check`` reads."""

    def __init__(self, path: Path) -> None:
        self._file, self.path = path, path.with_name(f"{path.name}.sha256")

    def read(self) -> str | None:
        """Return the digest, if one is written down."""
        if not self.path.exists():
            return None
        with open_regular(self.path) as file:
            found = re.match(rb"([0-9a-f]{64})\s", file.read(200))
        if found is None:
            message = f"{self.path} holds no sha256; delete it to trust {self._file.name} anew"
            raise OSError(message)
        return found[1].decode()

    def write(self) -> None:
        """Write down what the file is now."""
        with open_regular(self._file.resolve()) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        write_file(self.path, f"{digest}  {self._file.name}\n".encode(), keep=False)


def fetch(
    file: RemoteFile, cache_dir: str | os.PathLike[str] | None = None, *, rounds: int = 3, wait: float = 2.0
) -> Path:
    """Return the path of a file in the cache folder, downloading it if it is not there.

    A file without a published checksum is not remembered: see :func:`fetched`.

    Every mirror is tried, ``rounds`` times with ``wait`` seconds in between. A mirror that sends something else than
    the file is not asked again.

    Raises
    ------
    OSError
        If no mirror delivered the file. Nothing is left in the cache folder, and the message says how to place the
        file by hand.
    """
    path = cache_folder(cache_dir) / file.name
    pin = _Pin(path)
    digest = file.sha256 or pin.read()
    expected = Expected(f"sha256:{digest}") if digest else _FirstUse(beginning=file.beginning)
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
                f"could not download {file.name}{file.size and f' ({file.size})'}:",
                *(f"  {url}: {why}" for url, why in failures.items()),
                f"Download it with a browser from {file.page} and save it as {path}",
                _condition(digest, pinned=file.sha256 is None, pin=pin.path, there=path.exists()),
            ]
        )
        raise TryLaterError(message, wait) if mirrors else OSError(message)

    with private_folder(path) as staging:  # goes, and with it what has arrived
        try:
            retry(once, tries=rounds)
        except TryLaterError as error:
            raise OSError(str(error)) from error
    return path


def _condition(digest: str | None, *, pinned: bool, pin: Path, there: bool) -> str:
    """Say what a file placed by hand must be."""
    if digest is None:
        return "No checksum of it is published: what you save there is taken, and remembered."
    accept = f" when it was first used (if another is right, delete {pin})" if pinned else ""
    return f"It must have the sha256 {digest}{accept}" + ("; the file there now has another." if there else ".")


@contextlib.contextmanager
def fetched(file: RemoteFile, cache_dir: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Give the path of a file to who reads it, and remember the file once it was read if no checksum is published.

    Raises
    ------
    OSError
        As :func:`fetch`. Or if a file without a published checksum cannot be read; the message says what to delete.
    """
    path = fetch(file, cache_dir)
    pin = _Pin(path)
    try:
        yield path
    except (OSError, ValueError) as error:
        if file.sha256 is not None:
            raise
        both = f"{path} and {pin.path}" if pin.path.exists() else f"{path}"
        message = f"{error}; delete {both} to download it again"
        raise OSError(message) from error
    if file.sha256 is None and not pin.path.exists():
        pin.write()


def read_published(path: Path) -> AnnData:
    """Read an h5ad file without the deprecation warnings about its age, which only its publisher could act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return read_h5ad(path)
