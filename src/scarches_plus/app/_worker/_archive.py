"""Unpack a 10x matrix that was sent as one archive."""

from __future__ import annotations

import tarfile
import zipfile
from contextlib import contextmanager
from errno import EACCES, EDQUOT, ENOSPC, EROFS
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

from scarches_plus._files import check_space
from scarches_plus._limits import ARCHIVE_EXPANSION, ARCHIVE_FILES, ARCHIVE_FREE_BYTES
from scarches_plus._text import for_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The files of a 10x folder, packed or not, whatever stands before their names.
_PARTS = ("matrix.mtx", "barcodes.tsv", "features.tsv", "genes.tsv")
_CHUNK = 2**20


@contextmanager
def unpacked_matrix(path: Path) -> Iterator[Path]:
    """Yield a folder for a while with the 10x matrix of a ``.zip`` or ``.tar.gz``; what is no archive as it is.

    Only regular files are written that are called as those of such a folder are, and no names of folders are read.

    Raises
    ------
    ValueError
        If there is no such matrix or more than one, or it would take far more room than the archive, or is damaged.
    OSError
        If there is no room for it.
    """
    if not path.is_file() or not (zipfile.is_zipfile(path) or _is_tar(path)):
        yield path
        return
    with TemporaryDirectory(prefix="scarches_plus_") as folder:
        _unpack(path, Path(folder))
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with _members(path) as (sizes, opened):
            chosen = _chosen(path, sizes)
            n_bytes = sum(sizes[name] for name in chosen)
            if n_bytes > path.stat().st_size * ARCHIVE_EXPANSION + ARCHIVE_FREE_BYTES:
                message = (
                    f"{path.name} would take {n_bytes / 2**20:.0f} MB, far more than its own size: send it unpacked"
                )
                raise ValueError(message)
            check_space(folder, n_bytes)
            for name, target in chosen.items():
                with opened(name) as source, (folder / target).open("wb") as file:
                    _copy(source, file, sizes[name])
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in {ENOSPC, EDQUOT, EROFS, EACCES}:
            raise
        message = f"{path.name} is a damaged archive ({for_message(error)}): send it again"
        raise ValueError(message) from error


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError):
        return False


@contextmanager
def _members(path: Path) -> Iterator[tuple[dict[str, int], Callable[[str], IO[bytes]]]]:
    """Yield the regular files of an archive with their sizes, and what opens one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _require_few(path, len(archive.filelist))
            yield {one.filename: one.file_size for one in archive.filelist if not one.is_dir()}, archive.open
        return
    with tarfile.open(path) as tar:
        files: dict[str, tarfile.TarInfo] = {}
        for number, one in enumerate(tar):
            _require_few(path, number)
            if one.isreg():
                files[one.name] = one
        yield {name: one.size for name, one in files.items()}, lambda name: tar.extractfile(files[name])  # type: ignore


def _require_few(path: Path, n_files: int) -> None:
    if n_files > ARCHIVE_FILES:
        message = f"{path.name} holds more than {ARCHIVE_FILES} files: send the matrix alone"
        raise ValueError(message)


def _chosen(path: Path, sizes: dict[str, int]) -> dict[str, str]:
    """Return the members to write, each with the name that it gets."""
    found: dict[str, str] = {}
    for name in sizes:
        base = PurePosixPath(name).name
        for part in _PARTS:
            if base.startswith("._"):
                continue
            for target in (part, f"{part}.gz"):
                if base.endswith(target):
                    found[name] = target
    if sum(target.startswith("matrix") for target in found.values()) != 1 or len(set(found.values())) != len(found):
        names = for_message(", ".join(list(sizes)[:5])) or "it is empty"
        message = f"{path.name} holds no 10x matrix, or several (matrix.mtx, barcodes.tsv and features.tsv): {names}"
        raise ValueError(message)
    return found


def _copy(source: IO[bytes], target: IO[bytes], n_bytes: int) -> None:
    """Copy as many bytes as were announced, and no more."""
    left = n_bytes
    while left > 0 and (chunk := source.read(min(_CHUNK, left))):
        target.write(chunk)
        left -= len(chunk)
