"""Unpack the files of a tar archive into a folder of its own, by their names."""

from __future__ import annotations

import shutil
import tarfile
from typing import TYPE_CHECKING

from scarches_plus._limits import ARCHIVE_EXPANSION, ARCHIVE_FILES, ARCHIVE_FREE_BYTES

if TYPE_CHECKING:
    from pathlib import Path


def unpack_files(archive: Path, folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Write the regular files of an archive whose names end so into a folder, without the folders they lie in.

    Returns
    -------
    list of Path
        The files, in the order of their names.

    Raises
    ------
    OSError
        If it is no archive, has none of them or two of one name, or unpacks to far more than its bytes.
    """
    left = archive.stat().st_size * ARCHIVE_EXPANSION + ARCHIVE_FREE_BYTES
    files: dict[str, Path] = {}
    try:
        with tarfile.open(archive) as tar:
            for number, member in enumerate(tar):
                name = member.name.rpartition("/")[2]
                if number >= ARCHIVE_FILES:
                    message = f"{archive} has more than {ARCHIVE_FILES} files"
                    raise OSError(message)
                if not member.isfile() or name.startswith(".") or not name.endswith(suffixes):
                    continue
                left -= member.size
                if left < 0 or name in files:
                    why = f"has two files {name}" if name in files else "unpacks to far more than its bytes"
                    message = f"{archive} {why}"
                    raise OSError(message)
                files[name] = folder / name
                contents = tar.extractfile(member)
                assert contents is not None  # of a regular file
                with contents, files[name].open("xb") as target:
                    shutil.copyfileobj(contents, target)
    except (tarfile.TarError, EOFError) as error:
        message = f"{archive} is damaged ({error}); delete it to download it again"
        raise OSError(message) from error
    if not files:
        message = f"{archive} has no file that ends with {' or '.join(suffixes)}"
        raise OSError(message)
    return [files[name] for name in sorted(files)]
