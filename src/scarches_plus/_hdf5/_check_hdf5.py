"""Check an HDF5 file for external links, cycles and data far larger than the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from scarches_plus import _limits

from ._budget import Budget
from ._chunks import check_storage
from ._refuse import refuse
from ._sparse_groups import Extremes, check_sparse_group, is_sparse_group
from ._texts import Texts

if TYPE_CHECKING:
    import os

    import numpy as np


def check_hdf5(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> None:
    """Refuse an HDF5 file that would bring in other files, take far more memory than its size, or make HDF5 crash.

    Parameters
    ----------
    path
        The file.
    max_bytes
        Size of all data sets, unpacked; by default only limited relative to the size of the file.

    Raises
    ------
    ValueError
        If it is refused, or no HDF5 file; the message names the file and the place in it.
    OSError
        If there is no such file, or it may not be read.
    """
    path = Path(path)
    start = _start(path)
    if not h5py.is_hdf5(path):
        message = f"{path} is no HDF5 file (such as .h5ad, .h5mu or .h5): {_looks_like(start)}"
        raise ValueError(message)
    try:
        texts = Texts(path)
        with h5py.File(path, "r") as file:
            _Walk(path, texts, max_bytes).through(file)
    except ValueError as error:
        if str(path) in str(error):
            raise
        _damaged(path, error)
    except Exception as error:  # noqa: BLE001 (a damaged file fails in any way there is)
        _damaged(path, error)


class _Walk:
    """A walk through all groups, data sets and attributes of a file."""

    def __init__(self, path: Path, texts: Texts, max_bytes: int | None) -> None:
        self._path = path
        self._texts = texts
        self._budget = Budget(path, max_bytes)
        self._seen: set[Any] = set()
        self._n_objects = self._n_attributes = 0
        self._sparse: list[Any] = []
        self._extremes: dict[str, Extremes] = {}

    def through(self, file: Any) -> None:
        groups: list[tuple[Any, int]] = [(file, 0)]
        self._is_new(file)
        self._check_attributes(file)
        while groups:
            group, depth = groups.pop()
            self._n_objects += len(group)
            if depth > _limits.HDF5_DEPTH or self._n_objects > _limits.HDF5_OBJECTS:
                refuse(self._path, group.name,
                       f"it nests deeper than {_limits.HDF5_DEPTH} groups, or in a circle, or has "
                       f"more than {_limits.HDF5_OBJECTS} parts")  # fmt: skip
            for name in group:
                one = self._open(group, name)
                new = self._is_new(one)
                if isinstance(one, h5py.Group):
                    if not new:
                        refuse(self._path, one.name, "it nests in a circle, or lies in two places")
                    groups.append((one, depth + 1))
                elif isinstance(one, h5py.Dataset):
                    self._check_dataset(one, again=not new)
                self._check_attributes(one)
            if is_sparse_group(group):
                self._sparse.append(group)
        for group in self._sparse:  # after their data sets
            check_sparse_group(self._path, group, self._extremes.get(f"{group.name}/indices"))

    def _open(self, group: Any, name: str | bytes) -> Any:
        if isinstance(name, bytes):  # as h5py returns what it cannot decode
            refuse(self._path, group.name, f"it holds {name!r}, whose name is no UTF-8 text")
        place = f"{group.name.rstrip('/')}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            refuse(self._path, place, "it is a link to somewhere else")
        return group[name]

    def _is_new(self, one: Any) -> bool:
        info = h5py.h5o.get_info(one.id)
        key = info.fileno, info.addr
        new = key not in self._seen
        self._seen.add(key)
        return new

    def _check_dataset(self, dataset: Any, *, again: bool) -> None:
        if dataset.is_virtual or dataset.external:
            refuse(self._path, dataset.name, "it takes its data from other files")
        if dataset.shape is None:  # anndata's None
            return
        self._require_plain(dataset.dtype, dataset.name)
        if 0 in dataset.shape and max(dataset.shape) > self._budget.longest:
            refuse(self._path, dataset.name, f"its shape is {dataset.shape}, and it holds nothing")
        self._budget.count(dataset, again=again)
        extremes = Extremes() if dataset.name.endswith("/indices") and _is_row_of_integers(dataset) else None
        if check_storage(self._path, dataset, extremes.look if extremes else None) and extremes:
            self._extremes[dataset.name] = extremes
        self._budget.count_texts(dataset, self._texts)

    def _check_attributes(self, one: Any) -> None:
        """Refuse attributes that may be larger than allowed; HDF5 reads an attribute whole, so it is not looked at."""
        self._n_attributes += len(one.attrs)
        if self._n_attributes > _limits.HDF5_ATTRIBUTES:
            refuse(self._path, one.name, f"it has more than {_limits.HDF5_ATTRIBUTES} attributes")
        for name in one.attrs:
            attribute = one.attrs.get_id(name)
            place = f"{one.name} (attribute {name!r})"
            self._require_plain(attribute.dtype, place)
            self._budget.count_attribute(attribute, place, self._texts)

    def _require_plain(self, dtype: np.dtype, place: str) -> None:
        """Refuse types of variable length other than texts: one value may hold any amount of data."""
        if dtype.subdtype is not None:
            dtype = dtype.base
        for name in dtype.names or ():
            self._require_plain(dtype[name], place)
        text = h5py.check_string_dtype(dtype) or h5py.check_ref_dtype(dtype)
        if dtype.hasobject and not dtype.names and not text:
            refuse(self._path, place, "it holds values of variable length that are no text")


def _is_row_of_integers(dataset: Any) -> bool:
    return len(dataset.shape) == 1 and dataset.dtype.kind in "iu"


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def _looks_like(start: bytes) -> str:
    """Return the most likely reason why a file is no HDF5 file."""
    lower = start.lstrip().lower()
    if not start:
        return "it is empty; fetch it again"
    if lower.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page; fetch it again, from the address of the file itself"
    if lower.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; fetch the file itself with 'git lfs pull'"
    if start.startswith(b"\x1f\x8b"):
        return "it is packed by gzip; unpack it first with gunzip"
    if start.startswith(b"PK\x03\x04"):
        return "it is a zip archive; unpack it first"
    return "it is damaged or of another format; fetch it again"


def _damaged(path: Path, error: Exception) -> None:
    message = f"{path} is damaged, or no readable HDF5 file: {error}; fetch it again"
    raise ValueError(message) from error
