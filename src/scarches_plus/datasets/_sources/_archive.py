"""Unpack the files of a tar archive into a folder of its own, by their names."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from typing import IO, TYPE_CHECKING

from scarches_plus._limits import ARCHIVE_EXPANSION, ARCHIVE_FILES, ARCHIVE_FREE_BYTES

if TYPE_CHECKING:
    from pathlib import Path


class ArchiveError(OSError):
    """An archive that is damaged, or holds what no data set of this package holds."""


def unpack_files(archive: Path, folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Write the regular files of an archive whose names end so into a folder, without the folders they lie in.

    Returns
    -------
    dict of str to Path
        Name in the archive to the file, in the order of names. Files have numbers for names: no name of an archive
        becomes a path of this machine.

    Raises
    ------
    ArchiveError
        If it is no archive, has none of them, two of one name or a name with signs that belong to paths, or unpacks to
        far more than its bytes.
    """
    left = archive.stat().st_size * ARCHIVE_EXPANSION + ARCHIVE_FREE_BYTES
    files: dict[str, Path] = {}
    try:
        with tarfile.open(archive) as tar:
            for number, member in enumerate(tar):
                name = member.name.rpartition("/")[2]
                if number >= ARCHIVE_FILES:
                    message = f"{archive} has more than {ARCHIVE_FILES} files"
                    raise ArchiveError(message)
                if not member.isfile() or name.startswith(".") or not name.endswith(suffixes):
                    continue
                left -= member.size
                if why := _refused(name, files, left):
                    message = f"{archive} {why}"
                    raise ArchiveError(message)
                suffix = next(one for one in suffixes if name.endswith(one))
                files[name] = folder / f"{number}{suffix}"
                with _contents(tar, member) as contents, files[name].open("xb") as target:
                    shutil.copyfileobj(contents, target)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, ArchiveError) or getattr(error, "errno", None) is not None:  # of the disk
            raise
        why = str(error).partition("\n")[0].rstrip(":")
        message = f"{archive} is damaged ({why})"
        raise ArchiveError(message) from error
    if not files:
        message = f"{archive} has no file that ends with {' or '.join(suffixes)}"
        raise ArchiveError(message)
    return dict(sorted(files.items()))


def _refused(name: str, files: dict[str, Path], left: int) -> str:
    """Return why a file is not unpacked, empty if it is."""
    if "\\" in name or ":" in name or not name.isprintable():
        return f"has a file {name!r}, whose name has signs that belong to paths or to terminals"
    if name in files:
        return f"has two files {name}"
    return "unpacks to far more than its bytes" if left < 0 else ""


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    contents = tar.extractfile(member)
    if contents is None:
        message = f"{tar.name!r} has no contents of {member.name!r}"
        raise ArchiveError(message)
    return contents
