"""Decompress gzip and bzip2 files with a limit on the unpacked size."""

from __future__ import annotations

import bz2
import gzip
import io
from typing import IO, TYPE_CHECKING, Any

from scarches_plus._arguments import at_home
from scarches_plus._limits import TEXT_EXPANSION, TEXT_FREE_BYTES

from ._read_file import open_regular

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of a packed file that are read at a time.
_PART = 2**14


def unpacked(path: Path) -> IO[bytes]:
    """Open a file, packed with gzip or bzip2 or not.

    Reading raises OSError as soon as far more came out of it than what was read of a real file holds.
    """
    with path.open("rb") as file:
        head = file.read(3)
    opener = gzip.open if head.startswith(b"\x1f\x8b") else bz2.open if head.startswith(b"BZh") else None
    if opener is None:
        return path.open("rb")
    return io.BufferedReader(_Limited(path, opener))


def unpack_rest(file: IO[bytes]) -> None:
    """Unpack what is left of a packed file, which is far faster than to read the table in it.

    Raises
    ------
    OSError
        If far more is packed in it than in a real file.
    """
    if isinstance(file, io.BufferedReader) and isinstance(file.raw, _Limited):
        while file.read(2**20):
            pass


class _Limited(io.RawIOBase):
    """Limit what a packed file unpacks to, by the bytes of it that were read."""

    def __init__(self, path: Path, opener: Any) -> None:
        self._path, self._packed = path, _InSmallParts(path)
        self._file = opener(self._packed, "rb")
        self._unpacked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        contents = self._file.read(len(buffer))
        self._unpacked += len(contents)
        if self._unpacked > TEXT_EXPANSION * self._packed.tell() + TEXT_FREE_BYTES:
            message = (
                f"{self._path} unpacks to more than {TEXT_EXPANSION} times its size; unpack it first if you trust it"
            )
            raise OSError(message)
        buffer[: len(contents)] = contents
        return len(contents)

    def close(self) -> None:
        self._file.close()
        self._packed.close()
        super().close()


class _InSmallParts(io.FileIO):
    """A file that is not read ahead of what is unpacked."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(_PART if size is None or size < 0 else min(size, _PART))


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
