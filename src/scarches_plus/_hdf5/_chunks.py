"""Check that stored chunks of HDF5 data sets unpack to the declared size.

HDF5 does not check this, and reads beyond shorter ones.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from scarches_plus import _limits

from ._refuse import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    #: Contents if they are to be unpacked, size in the file, filters that were left out, and first row.
    _Chunk = tuple[bytes | None, int, int, int]

_DEFLATE = 1
_SHUFFLE = 2
_FLETCHER = 3
_LZF = 32000
_CHECKSUM = 4
#: Filters of the package hdf5plugin that pack: bzip2, blosc, lz4, bitshuffle, blosc2, zstd.
_PLUGINS = {307, 32001, 32004, 32008, 32026, 32015}
_BATCH = 32
#: Bytes of a chunk up to which threads pay.
_SMALL = 2**22
#: Bytes of all chunks from which on threads pay.
_LARGE = 2**21
#: HDF5 says how large a text is in memory (a pointer of 8 bytes); in the file it takes 16: length, heap and index.
_POINTER = 8


def check_storage(path: Path, dataset: Any, look: Callable[[np.ndarray], None] | None = None) -> bool:
    """Refuse chunks that do not unpack to the size that the data set declares, and unknown filters.

    Parameters
    ----------
    path
        The file.
    dataset
        One of its data sets.
    look
        Takes the values of each chunk of a data set of one dimension.

    Returns
    -------
    bool
        Whether ``look`` has seen all values: those packed by gzip, which are unpacked here anyway.

    Raises
    ------
    ValueError
        If a chunk is damaged or forged, or packed by an unknown filter.
    """
    if not dataset.chunks:
        return False
    filters = _filters(path, dataset)
    size = prod(dataset.chunks) * (dataset.id.get_type().get_size() + _POINTER * _n_texts(dataset.dtype))
    if size > _limits.HDF5_CHUNK_BYTES:
        refuse(path, dataset.name, f"a chunk has {size} bytes, more than {_limits.HDF5_CHUNK_BYTES}")
    chunks = _Chunks(dataset, filters, size, look)
    few = size > _SMALL or dataset.id.get_storage_size() < _LARGE
    found = map(chunks.why_not, chunks) if few else _in_threads(chunks)
    if why := next(filter(None, found), None):
        refuse(path, dataset.name, why)
    return chunks.seen


def _filters(path: Path, dataset: Any) -> list[int]:
    plist = dataset.id.get_create_plist()
    found = []
    for i in range(plist.get_nfilters()):
        code, _, values, _ = plist.get_filter(i)
        found.append(code)
        if code == _LZF and len(values) > 2 and values[2] > 2 * _limits.HDF5_CHUNK_BYTES:
            refuse(path, dataset.name, "its filter lzf takes more memory than any chunk")
    if strange := [code for code in found if code not in {_DEFLATE, _SHUFFLE, _FLETCHER, _LZF, *_PLUGINS}]:
        refuse(path, dataset.name, f"it is packed by filter {strange[0]}; write it with compression='gzip'")
    if missing := [code for code in found if not h5py.h5z.filter_avail(code)]:
        refuse(
            path, dataset.name, f"it is packed by filter {missing[0]}, which is not here; install and import hdf5plugin"
        )
    if len(set(found)) < len(found) or len({_DEFLATE, _LZF, *_PLUGINS} & set(found)) > 1 or _FLETCHER in found[:-1]:
        refuse(path, dataset.name, f"its filters {found} are in an order that no library writes")
    return found


def _n_texts(dtype: Any) -> int:
    """Return how many texts of variable length a value has."""
    if dtype.names:
        return sum(_n_texts(dtype[name]) for name in dtype.names)
    if dtype.subdtype is not None:
        return prod(dtype.shape) * _n_texts(dtype.base)
    return int(dtype.hasobject and h5py.check_string_dtype(dtype) is not None)


def _in_threads(chunks: _Chunks) -> Iterator[str | None]:
    """Unpack many chunks at a time, as zlib lets other threads run."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        waiting = iter(chunks)
        while batch := list(islice(waiting, _BATCH)):
            yield from pool.map(chunks.why_not, batch)


class _Chunks:
    """The stored chunks of a data set, each with the filters that were left out for it."""

    def __init__(self, dataset: Any, filters: list[int], size: int, look: Callable[[np.ndarray], None] | None) -> None:
        self._dataset, self._filters, self._size, self._look = dataset, filters, size, look
        self._dtype, self._length = dataset.dtype, dataset.shape[0]
        self.seen = look is not None and _DEFLATE in filters

    def __iter__(self) -> Iterator[_Chunk]:
        found: list[Any] = []
        self._dataset.id.chunk_iter(found.append)
        for one in found:
            packed = _DEFLATE in self._filters and not one.filter_mask
            self.seen = self.seen and packed
            contents = self._dataset.id.read_direct_chunk(one.chunk_offset)[1] if packed else None
            yield contents, one.size, one.filter_mask, one.chunk_offset[0]

    def why_not(self, chunk: _Chunk) -> str | None:
        """Return why a chunk is refused, if it is."""
        contents, stored, left_out, start = chunk
        end = _CHECKSUM if _FLETCHER in self._filters else 0
        if contents is not None:
            unpacker = zlib.decompressobj()
            try:
                unpacked = unpacker.decompress(contents[: len(contents) - end], self._size + 1)
            except zlib.error as error:
                return f"a chunk cannot be unpacked ({error}); the file is damaged"
            if len(unpacked) != self._size:
                return f"a chunk does not unpack to the {self._size} bytes it declares"
            if self._look is not None:
                self._look(self._values(unpacked)[: self._length - start])
            return None
        raw = not set(self._filters) & {_DEFLATE, _LZF, *_PLUGINS} or left_out
        if raw and not self._size <= stored <= self._size + end:
            return f"a chunk has {stored} bytes and not the {self._size} it declares"
        return None

    def _values(self, unpacked: bytes) -> np.ndarray:
        if _SHUFFLE not in self._filters:
            return np.frombuffer(unpacked, self._dtype)
        by_byte = np.frombuffer(unpacked, np.uint8).reshape(self._dtype.itemsize, -1)
        return np.ascontiguousarray(by_byte.T).view(self._dtype)[:, 0]
