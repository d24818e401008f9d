"""Read bundle folders, and check the size and checksum of every file."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, get_args

from scarches_plus import _limits
from scarches_plus._files import open_regular
from scarches_plus.bundle._finding._find import MODEL_FILE
from scarches_plus.bundle._manifest import (
    CHECKSUMS,
    MANIFEST,
    README,
    BundleError,
    FileEntry,
    FileName,
    Manifest,
    parse_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_POINTER = b"version https://git-lfs"


def sha256_of(contents: bytes) -> str:
    """Return the hash of bytes."""
    return hashlib.sha256(contents).hexdigest()


def no_bundle(folder: Path) -> str | None:
    """Return why a folder is no bundle, going by names of files and the manifest; ``None`` if it is one."""
    known = {MANIFEST, CHECKSUMS, *get_args(FileName)}
    strays = sorted(file.name for file in folder.iterdir() if file.name not in known or not file.is_file())
    if strays:
        return f"it holds {strays[0]}, which is no file of a bundle"
    try:
        parse_manifest(read_file(folder, MANIFEST, at_most=_limits.MANIFEST_BYTES), MANIFEST)
    except BundleError as error:
        return f"it is no bundle ({error})"
    return None


def read_manifest(folder: Path) -> tuple[Manifest, bytes]:
    """Return the manifest of a bundle, checked, and its text.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If manifest or checksums are damaged or do not agree.
    """
    if not folder.is_dir():
        message = f"{folder} is no folder"
        raise FileNotFoundError(message)
    if not (folder / MANIFEST).exists() and (folder / MODEL_FILE).exists():
        message = (
            f"{folder} holds a saved model, and is no bundle: make one of it, "
            f"sp.hub.save_bundle(sp.model.load({str(folder)!r}), 'bundle')"
        )
        raise BundleError(message)
    text = read_file(folder, MANIFEST, at_most=_limits.MANIFEST_BYTES)
    manifest = parse_manifest(text, str(folder / MANIFEST))
    sums = {MANIFEST: sha256_of(text)} | {name: entry.sha256 for name, entry in manifest.files.items()}
    if read_file(folder, CHECKSUMS, at_most=_limits.CHECKSUM_BYTES) != checksums(sums):
        message = (
            f"{folder / MANIFEST} does not agree with {folder / CHECKSUMS}: one of them was changed or damaged; fetch "
            "the bundle again"
        )
        raise BundleError(message)
    return manifest, text


def all_files(folder: Path, manifest: Manifest) -> dict[str, FileEntry]:
    """Return sizes and hashes of all files of a bundle, manifest and checksums included.

    Raises
    ------
    BundleError
        If manifest or checksums are missing.
    """
    own = {
        name: read_file(folder, name, at_most=most)
        for name, most in ((MANIFEST, _limits.MANIFEST_BYTES), (CHECKSUMS, _limits.CHECKSUM_BYTES))
    }
    entries = {name: FileEntry(size=len(contents), sha256=sha256_of(contents)) for name, contents in own.items()}
    return entries | dict(manifest.files)  # type: ignore[arg-type]


def checksums(sums: Mapping[str, str]) -> bytes:
    """Return hashes as ``sha256sum --check`` reads them."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()


def read_listed(folder: Path, manifest: Manifest, name: str) -> bytes:
    """Return the contents of a file that the manifest lists.

    Raises
    ------
    BundleError
        If the manifest does not list it, or it is missing, or has another size or hash.
    """
    entry = manifest.files.get(name)  # type: ignore[call-overload]
    if entry is None:
        message = f"{folder / MANIFEST} does not list {name}"
        raise BundleError(message)
    contents = read_file(folder, name, size=entry.size, at_most=_limits.README_BYTES if name == README else None)
    if sha256_of(contents) != entry.sha256:
        message = f"{folder / name} is damaged: its sha256 is not that of the manifest; fetch the bundle again"
        raise BundleError(message)
    return contents


def read_file(folder: Path, name: str, *, size: int | None = None, at_most: int | None = None) -> bytes:
    """Return the contents of a regular file of a known or limited size.

    Raises
    ------
    BundleError
        If it is missing, no regular file, or of another size.
    """
    path = folder / name
    try:
        file = open_regular(path)
    except OSError as error:
        raise BundleError(str(error)) from error
    with file:
        found = os.fstat(file.fileno()).st_size
        if file.peek(len(_POINTER)).startswith(_POINTER):
            message = f"{path} is a pointer of Git LFS, and not the file itself; run 'git lfs pull' there"
            raise BundleError(message)
        if size is not None and found != size:
            message = f"{path} has {found} bytes, and the manifest says {size}; fetch the bundle again"
            raise BundleError(message)
        if at_most is not None and found > at_most:
            message = f"{path} has {found} bytes, more than any bundle has ({at_most})"
            raise BundleError(message)
        return file.read(found + 1)
