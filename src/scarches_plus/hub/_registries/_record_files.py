"""Send files to a draft record, skipping those that arrived and verifying checksums."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from scarches_plus._logging import logger
from scarches_plus._progress import progress_bar
from scarches_plus.bundle import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scarches_plus.bundle import FileEntry
    from scarches_plus.hub._web._session import Session

    from ._parcel import Parcel


def send_files(session: Session, path: str, parcel: Parcel) -> None:
    """Bring all files of a bundle into a draft.

    Raises
    ------
    OSError
        If the service says that something else has arrived.
    BundleError
        If a file has changed since the bundle was checked.
    ValueError
        If the draft holds files of something else.
    """
    there = _there(session, path)
    strange = sorted(set(there) - set(parcel.files))
    if strange:
        message = f"the draft holds {strange}, which the bundle does not; delete them there, or the draft"
        raise ValueError(message)
    for name, entry in parcel.files.items():
        if name in there and _has_arrived(there[name], parcel.folder / name, entry):
            logger.info("%s is there already", name)
            continue
        if name in there and there[name].get("status") == "completed":
            session.ask("DELETE", f"{path}/{name}")
            del there[name]
        if name not in there:
            session.ask("POST", path, values=[{"key": name}])
        _send(session, f"{path}/{name}", parcel.folder / name, entry, progress=parcel.progress)
    there = _there(session, path)
    missing = [name for name in parcel.files if there.get(name, {}).get("status") != "completed"]
    if missing:
        message = f"{missing[0]} was sent, and is not in the draft; call again"
        raise OSError(message)


def _there(session: Session, path: str) -> dict[str, dict[str, Any]]:
    answer = session.ask("GET", path)
    entries = answer.get("entries") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or not all(isinstance(one, dict) and "key" in one for one in entries):
        message = f"{path}: no list of files"
        raise OSError(message)
    return {str(one["key"]): one for one in entries}


def _has_arrived(found: dict[str, Any], path: Path, entry: FileEntry) -> bool:
    if found.get("status") != "completed" or found.get("size") != entry.size:
        return False
    with path.open("rb") as file:
        return found.get("checksum") == f"md5:{hashlib.file_digest(file, _md5).hexdigest()}"


def _send(session: Session, path: str, source: Path, entry: FileEntry, *, progress: bool) -> None:
    readers: list[_Reader] = []

    @contextmanager
    def opened() -> Iterator[_Reader]:
        with source.open("rb") as file, _Reader(file, source, entry, progress=progress) as reader:
            readers.append(reader)
            yield reader

    session.ask("PUT", f"{path}/content", opened=opened)
    md5 = readers[-1].md5()
    found = session.ask("POST", f"{path}/commit")
    found = found if isinstance(found, dict) else {}
    if found.get("checksum") != f"md5:{md5}" or found.get("size") != entry.size:
        session.ask("DELETE", path)
        message = f"{source.name}: the service has {found.get('checksum')}, and md5:{md5} was sent; call again"
        raise OSError(message)
    logger.info("%s: %d bytes sent, md5:%s on both sides", source.name, entry.size, md5)


class _Reader:
    """A file that is hashed while it is sent."""

    def __init__(self, file: BinaryIO, path: Path, entry: FileEntry, *, progress: bool) -> None:
        self._file, self._path, self._entry, self._left = file, path, entry, entry.size
        self._md5, self._sha256 = _md5(), hashlib.sha256()
        self._bar = progress_bar(entry.size, path.name, unit="B", unit_scale=True, shown=progress)

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __len__(self) -> int:
        return self._entry.size

    def read(self, size: int = -1) -> bytes:
        """Return what comes next, and never more than was announced."""
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        self._md5.update(chunk)
        self._sha256.update(chunk)
        self._bar.update(len(chunk))
        return chunk

    def md5(self) -> str:
        """Return the md5 of what was read.

        Raises
        ------
        BundleError
            If it is not what the manifest describes.
        """
        if self._sha256.hexdigest() != self._entry.sha256:
            message = f"{self._path} has changed while it was sent"
            raise BundleError(message)
        return self._md5.hexdigest()


def _md5(contents: bytes = b"") -> Any:
    """Return the md5, which Zenodo lists, against damage; the sha256 of the index guards against forgery."""
    return hashlib.md5(contents, usedforsecurity=False)
