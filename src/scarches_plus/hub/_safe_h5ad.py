"""h5ad files looked through before they are read."""

from __future__ import annotations

import mmap
import re
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._manifest import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEEPEST = 32
_MOST_OBJECTS = 100_000
#: Bytes of text that are read at a time, so that texts which share their storage are found before they take memory.
_BLOCK = 2**26
#: Heaps in which HDF5 keeps texts, which are never packed, with their sizes (HDF5 File Format Specification, III.E).
_HEAP = re.compile(rb"GCOL\x01.{3}(.{8})", re.DOTALL)


def check_h5ad(path: Path, *, max_bytes: int) -> None:
    """Refuse a file that would bring in other files, or take more memory than allowed.

    Parameters
    ----------
    path
        The file.
    max_bytes
        Size of all data sets, unpacked.

    Raises
    ------
    BundleError
        If it is refused, or no HDF5 file; the message names the file and the place in it.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            size, longest = path.stat().st_size, _longest_text(path)
            total = texts = n_objects = 0
            _check_attributes(path, file, longest, max_bytes)
            groups: list[tuple[Any, int]] = [(file, 0)]
            while groups:
                group, depth = groups.pop()
                for name in group:
                    n_objects += 1
                    place = f"{group.name.rstrip('/')}/{name}"
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        _refuse(path, f"{place} is a link to somewhere else")
                    one = group[name]
                    if isinstance(one, h5py.Group):
                        groups.append((one, depth + 1))
                    elif isinstance(one, h5py.Dataset):
                        if one.is_virtual or one.external:
                            _refuse(path, f"{place} takes its data from other files")
                        _require_plain(path, one.dtype, place)
                        total += int(one.size or 0) * one.dtype.itemsize
                    if total > max_bytes:
                        _refuse(path, f"it declares more than {max_bytes} bytes of data, the last in {place}")
                    if depth > _DEEPEST or n_objects > _MOST_OBJECTS:
                        _refuse(path, "it nests too deep, or in a circle")
                    _check_attributes(path, one, longest, max_bytes)
                    for length in _lengths_of_texts(one, longest) if isinstance(one, h5py.Dataset) else ():
                        texts += length
                        if texts > size:
                            _refuse(path, f"texts in {place} share their storage, and would be longer than the file")
    except BundleError:
        raise
    except Exception as error:  # a damaged file fails in any way there is
        message = f"{path} is no readable h5ad file: {error}"
        raise BundleError(message) from error


def _longest_text(path: Path) -> int:
    """Return what no text of variable length can exceed: the size of the largest heap."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as contents:
        sizes = [int.from_bytes(found[1], "little") for found in _HEAP.finditer(contents)]
        return max(1, min(max(sizes, default=1), len(contents)))


def _require_plain(path: Path, dtype: np.dtype, place: str) -> None:
    """Refuse types of variable length other than texts: one value may hold any amount of data."""
    import h5py

    if dtype.subdtype is not None:
        dtype = dtype.base
    for name in dtype.names or ():
        _require_plain(path, dtype[name], place)
    if dtype.hasobject and not dtype.names and not (h5py.check_string_dtype(dtype) or h5py.check_ref_dtype(dtype)):
        _refuse(path, f"{place} holds values of variable length that are no text")


def _check_attributes(path: Path, one: Any, longest: int, max_bytes: int) -> None:
    """Refuse attributes that may be larger than allowed; HDF5 reads an attribute whole, so it is not looked at."""
    for name in one.attrs:
        attribute = one.attrs.get_id(name)
        _require_plain(path, attribute.dtype, f"attribute {name!r} of {one.name}")
        if attribute.dtype.hasobject and prod(attribute.shape or ()) * longest > max_bytes:
            _refuse(path, f"attribute {name!r} of {one.name} may hold more than {max_bytes} bytes")


def _lengths_of_texts(dataset: Any, longest: int) -> Iterator[int]:
    """Yield the length of the texts in a data set, block by block, in bytes."""
    if not dataset.dtype.hasobject or not dataset.size:
        return
    if not dataset.shape:
        yield _length(dataset[()])
        return
    step = max(1, _BLOCK // (longest * max(1, dataset.dtype.itemsize // 8)))
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


def _refuse(path: Path, why: str) -> None:
    message = f"{path} is refused: {why}"
    raise BundleError(message)
