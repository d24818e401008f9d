"""Locate and measure variable-length strings in HDF5 files."""

from __future__ import annotations

import mmap
import re
from functools import cached_property
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _limits

from ._refuse import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Heaps in which HDF5 keeps texts, which are never packed, with their sizes (HDF5 File Format Specification, III.E).
_HEAP = re.compile(rb"GCOL\x01.{3}(.{8})", re.DOTALL)
_HEADER = 16
#: Index, references, and size of what follows.
_OBJECT = Struct("<HHIQ")
#: Bytes of text that are read at a time, so that texts which share their storage are found before they take memory.
_BLOCK = 2**24
#: Texts that are so short never add up to much.
_SHORT = 2**12


class Texts:
    """The texts of a file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ValueError
        If a heap is damaged so that HDF5 would never end to read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.longest = 1
        self._long: list[tuple[bytes, int]] = []
        if not path.stat().st_size:
            return
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as contents:
            for found in _HEAP.finditer(contents):
                size = int.from_bytes(found[1], "little")
                self._walk(contents, found.start(), found.start() + size)

    def _walk(self, contents: mmap.mmap, start: int, end: int) -> None:
        if end > len(contents):
            refuse(self._path, f"heap at byte {start}", "it ends beyond the file; the file is damaged or cut off")
        at = start + _HEADER
        while at + _HEADER <= end:
            index, _, _, size = _OBJECT.unpack_from(contents, at)
            step = _HEADER + (size + 7 & ~7) if index else size
            if not _HEADER <= step <= end - at:
                refuse(self._path, f"heap at byte {start}", "sizes of texts do not add up; the file is damaged")
            if index:
                self.longest = max(self.longest, size)
                if size > _SHORT:
                    self._long.append((start.to_bytes(8, "little") + index.to_bytes(4, "little"), size))
            at += step

    def most_of(self, n: int) -> int:
        """Return how many bytes ``n`` texts can have at most, going by how often the file refers to each long text."""
        if n * self.longest <= _limits.HDF5_FREE_BYTES:
            return n * self.longest
        return n * _SHORT + sum(self._referred_to)

    @cached_property
    def _referred_to(self) -> list[int]:
        size = self._path.stat().st_size
        if len(self._long) * size > _limits.HDF5_SEARCHED_BYTES:
            return [_limits.HDF5_SEARCHED_BYTES]
        contents = self._path.read_bytes()
        return [contents.count(reference) * length for reference, length in self._long]

    def lengths(self, dataset: Any) -> Iterator[int]:
        """Yield the length of the texts in a data set, block by block, in bytes."""
        if not dataset.dtype.hasobject or not dataset.size:
            return
        if not dataset.shape:
            yield _length(dataset[()])
            return
        step = max(1, _BLOCK // (self.longest * max(1, dataset.dtype.itemsize // 8)))
        for row in np.ndindex(dataset.shape[:-1]):
            for start in range(0, dataset.shape[-1], step):
                yield _length(dataset[(*row, slice(start, start + step))])


def _length(value: Any) -> int:
    if isinstance(value, bytes | str):
        return len(value)
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names:
        return sum(_length(value[name]) for name in names)
    return sum(map(_length, value.ravel().tolist())) if isinstance(value, np.ndarray) and value.dtype.hasobject else 0
