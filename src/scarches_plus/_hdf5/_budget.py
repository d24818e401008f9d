"""Limit the memory that an HDF5 file may take, in proportion to its size."""

from __future__ import annotations

import math
from math import prod
from typing import TYPE_CHECKING, Any

from scarches_plus import _limits

from ._refuse import refuse

if TYPE_CHECKING:
    from pathlib import Path

    from ._texts import Texts

#: Bytes of Python's text object beside the text.
_TEXT = 64


class Budget:
    """Adds up what data sets and attributes of a file declare, and refuses more than its size allows.

    Parameters
    ----------
    path
        The file.
    max_bytes
        Size of all data sets, unpacked; ``None`` for no limit but the proportion.
    """

    def __init__(self, path: Path, max_bytes: int | None) -> None:
        self._path = path
        self._most = max_bytes
        self._size = path.stat().st_size
        self._declared = self._stored = self._excess = self._texts = self._attributes = 0
        #: No dimension of what has no values, and none of a sparse matrix, can be longer.
        self.longest = self._size

    def count(self, dataset: Any, *, again: bool = False) -> None:
        """Count a data set; one that lies in two places is stored once, and read twice."""
        each = _size_of_value(dataset.dtype)
        declared = prod(dataset.shape) * each
        if dataset.chunks:
            declared = max(declared, prod(dataset.chunks) * each)
        stored = 0 if again else dataset.id.get_storage_size()
        self._declared += declared
        self._stored += stored
        self._excess += max(0, declared - _limits.HDF5_EXPANSION * stored)
        if self._most is not None and self._declared > self._most:
            refuse(self._path, dataset.name, f"the file declares more than {self._most} bytes of data up to here")
        if self._excess > _limits.HDF5_FREE_BYTES:
            refuse(
                self._path, dataset.name,
                f"it declares more data ({declared} bytes) than {stored} bytes of the file can hold; write such cells "
                "as a sparse matrix, or without compression",
            )  # fmt: skip
        if self._stored > self._size:
            refuse(self._path, dataset.name, "data sets share their storage, and are larger than the file")

    def count_texts(self, dataset: Any, texts: Texts) -> None:
        """Count the texts of a data set, which may all be one."""
        for length in texts.lengths(dataset):
            self._texts += length
            if self._texts > self._size:
                refuse(self._path, dataset.name, "texts share their storage, and would be longer than the file")

    def count_attribute(self, attribute: Any, place: str, texts: Texts) -> None:
        """Count an attribute, which HDF5 reads whole."""
        n = prod(attribute.shape or ())
        size = n * attribute.dtype.itemsize
        if size > self._size:
            refuse(self._path, place, f"it declares {size} bytes, more than the file has")
        if attribute.dtype.hasobject:
            self._attributes += texts.most_of(n)
        if self._attributes > min(_limits.HDF5_FREE_BYTES + self._size, self._most or math.inf):
            refuse(self._path, place, "texts share their storage, and may be far longer than the file")


def _size_of_value(dtype: Any) -> int:
    if dtype.names:
        return sum(_size_of_value(dtype[name]) for name in dtype.names)
    if dtype.subdtype is not None:
        return prod(dtype.shape) * _size_of_value(dtype.base)
    return _TEXT if dtype.hasobject else dtype.itemsize
