"""Read files that may be packed with gzip or bzip2."""

from __future__ import annotations

import bz2
import gzip
from typing import IO, TYPE_CHECKING

from scarches_plus._arguments import at_home

from ._read_file import open_regular

if TYPE_CHECKING:
    from pathlib import Path


def unpacked(path: Path) -> IO[bytes]:
    """Open a file, packed with gzip or bzip2 or not."""
    with path.open("rb") as file:
        head = file.read(3)
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return bz2.open(path, "rb") if head.startswith(b"BZh") else path.open("rb")


def read_unpacked(path: str | Path, *, at_most: int) -> bytes:
    """Return the contents of a regular file, or of what is packed in it, of a limited size.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it is a folder, a pipe or a device, is damaged, or has more than ``at_most`` bytes.
    """
    source = at_home(path)
    open_regular(source.resolve()).close()
    try:
        with unpacked(source) as file:
            contents = file.read(at_most + 1)
    except EOFError as error:
        message = f"{source} is cut off; get it again"
        raise OSError(message) from error
    if len(contents) > at_most:
        message = f"{source} has more than {at_most} bytes unpacked, which is more than such a file has"
        raise OSError(message)
    return contents
