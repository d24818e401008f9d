"""Folders that are there whole or not at all, and are read with suspicion."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
from typing import TYPE_CHECKING, TypeVar, get_args

from scarches_plus import _arguments as check

from ._manifest import MANIFEST, BundleError, FileEntry, FileName, Manifest, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Result = TypeVar("Result")
CHECKSUMS = "SHA256SUMS"
_LARGEST_MANIFEST = 64 * 2**20
_LARGEST_CHECKSUMS = 2**16
#: Seconds without a change after which nobody is writing any more.
_ABANDONED = 3600.0
#: How often a bundle is read again that is replaced while it is read.
_ATTEMPTS = 5


def sha256_of(contents: bytes) -> str:
    """Return the hash of bytes."""
    return hashlib.sha256(contents).hexdigest()


def write_folder(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    overwrite: bool,
    foreign: Callable[[Path], str | None] | None = None,
) -> None:
    """Write files into a folder that takes the place of one of that name in a single step.

    Whatever happens meanwhile, :func:`current` finds either the old folder or the new one, whole. What earlier writes to the same
    folder left when they were killed is removed, an hour later at the earliest.

    Parameters
    ----------
    folder
        Where to write.
    files
        Name to contents.
    overwrite
        Replace a folder that is there.
    foreign
        Says why a folder may not be replaced, if it may not.

    Raises
    ------
    FileExistsError
        If the folder exists and ``overwrite`` is not set, or may not be replaced.
    """
    previous = _previous(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        message = f"{folder} is not a folder"
        raise FileExistsError(message)
    if current(folder).exists():
        if not overwrite:
            message = f"{folder} exists; choose another folder or pass overwrite=True"
            raise FileExistsError(message)
        if foreign and any(current(folder).iterdir()) and (why := foreign(current(folder))):
            message = f"{folder} is left alone: {why}; choose another folder"
            raise FileExistsError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (folder.with_name(f".{folder.name}-{secrets.token_hex(8)}") for _ in range(2))
    temporary.mkdir()
    _remove_leftovers(folder, temporary)
    try:
        for name, contents in files.items():
            _write_through(temporary / name, contents)
        _flush(temporary)
        if folder.exists():
            _move(previous, old)
            folder.rename(previous)
        temporary.rename(folder)
        _flush(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
        _move(previous, old)
    finally:
        for unused in (temporary, old):
            shutil.rmtree(unused, ignore_errors=True)


def current(folder: Path) -> Path:
    """Return the folder, or what it was before a replacement that was interrupted between two renames."""
    previous = _previous(folder)
    return previous if not folder.exists() and previous.is_dir() else folder


def read_bundle(path: str | Path, read: Callable[[Path], Result]) -> Result:
    """Return what is read from a bundle; read it again if it fails and another took its place meanwhile.

    Parameters
    ----------
    path
        Folder with the bundle.
    read
        Takes the folder and returns what is in it. As every file is compared with the manifest, parts of two bundles fail.
    """
    folder = check.path("path", path).expanduser().absolute()
    for _ in range(_ATTEMPTS):
        before = _identity(folder)
        try:
            return read(current(folder))
        except (BundleError, FileNotFoundError):
            if _identity(folder) == before:
                raise
    return read(current(folder))


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another that takes its place; numbers of files are given again, times are not."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def no_bundle(folder: Path) -> str | None:
    """Return why a folder is no bundle, going by names of files and the manifest; ``None`` if it is one."""
    known = {MANIFEST, CHECKSUMS, *get_args(FileName)}
    strays = sorted(file.name for file in folder.iterdir() if file.name not in known or not file.is_file())
    if strays:
        return f"it holds {strays[0]}, which is no file of a bundle"
    try:
        parse_manifest(read_file(folder, MANIFEST, at_most=_LARGEST_MANIFEST), MANIFEST)
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
    text = read_file(folder, MANIFEST, at_most=_LARGEST_MANIFEST)
    manifest = parse_manifest(text, str(folder / MANIFEST))
    sums = {MANIFEST: sha256_of(text)} | {name: entry.sha256 for name, entry in manifest.files.items()}
    if read_file(folder, CHECKSUMS, at_most=_LARGEST_CHECKSUMS) != checksums(sums):
        message = (
            f"{folder / MANIFEST} does not agree with {folder / CHECKSUMS}: one of them was changed or damaged; fetch the "
            "bundle again"
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
    own = {name: read_file(folder, name) for name in (MANIFEST, CHECKSUMS)}
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
    contents = read_file(folder, name, size=entry.size)
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
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        what = "is a link; a bundle holds the files themselves" if path.is_symlink() else "is missing or cannot be read"
        message = f"{path} {what}"
        raise BundleError(message) from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        message = f"{path} is no regular file"
        raise BundleError(message)
    with os.fdopen(handle, "rb") as file:
        if size is not None and found.st_size != size:
            message = f"{path} has {found.st_size} bytes, and the manifest says {size}; fetch the bundle again"
            raise BundleError(message)
        if at_most is not None and found.st_size > at_most:
            message = f"{path} has {found.st_size} bytes, more than any bundle has ({at_most})"
            raise BundleError(message)
        return file.read(found.st_size + 1)


def _remove_leftovers(folder: Path, temporary: Path) -> None:
    """Remove temporary folders of writes that were killed; what was just made tells the time of the file system."""
    ours = re.compile(rf"\.{re.escape(folder.name)}-[0-9a-f]{{16}}")
    now = temporary.stat().st_mtime
    for other in folder.parent.iterdir():
        if ours.fullmatch(other.name) and _last_change(other) < now - _ABANDONED:
            shutil.rmtree(other, ignore_errors=True)


def _last_change(folder: Path) -> float:
    """Return when a folder of files, or one of its files, was last changed; infinity for anything else."""
    try:
        found = [folder.lstat()] + [file.lstat() for file in folder.iterdir()]
    except OSError:
        return float("inf")
    if not stat.S_ISDIR(found[0].st_mode) or not all(stat.S_ISREG(one.st_mode) for one in found[1:]):
        return float("inf")
    return max(one.st_mtime for one in found)


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _move(source: Path, target: Path) -> None:
    if source.exists():
        source.rename(target)


def _write_through(path: Path, contents: bytes) -> None:
    with path.open("wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    """Make names of files last; where a system cannot open folders, it does so by itself."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
