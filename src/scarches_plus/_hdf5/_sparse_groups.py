"""Check indices of sparse matrices in HDF5 files, which compiled code trusts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ._refuse import refuse

if TYPE_CHECKING:
    from pathlib import Path

_PARTS = ("data", "indices", "indptr")
_SHAPES = ("shape", "h5sparse_shape")
_FORMATS = ("encoding-type", "h5sparse_format")
_BLOCK = 2**22


class Extremes:
    """The smallest and the largest of all numbers that :meth:`look` was given."""

    def __init__(self) -> None:
        self.least, self.most = 0, -1

    def look(self, values: np.ndarray) -> None:
        """Include more numbers."""
        if len(values):
            self.least = min(self.least, int(values.min()))
            self.most = max(self.most, int(values.max()))

    @classmethod
    def of(cls, dataset: Any) -> Extremes:
        """Return the extremes of a data set, which is read block by block."""
        extremes = cls()
        for start in range(0, len(dataset), _BLOCK):
            extremes.look(dataset[start : start + _BLOCK])
        return extremes


def is_sparse_group(group: Any) -> bool:
    """Return whether a group holds a sparse matrix: of anndata, of the h5sparse format, or of 10x."""
    return all(name in group for name in _PARTS)


def check_sparse_group(path: Path, group: Any, extremes: Extremes | None) -> None:
    """Refuse a sparse matrix whose parts do not agree.

    Parameters
    ----------
    path
        The file.
    group
        Group of a sparse matrix whose data sets have been checked.
    extremes
        Of the indices; ``None`` if they have to be read.

    Raises
    ------
    ValueError
        If they do not agree.
    """
    data, indices, indptr = (group[name] for name in _PARTS)
    if not all(isinstance(one, h5py.Dataset) and one.ndim == 1 for one in (data, indices, indptr)):
        refuse(path, group.name, "data, indices and indptr of its sparse matrix are not one-dimensional")
    if {indices.dtype.kind, indptr.dtype.kind} - set("iu") or data.dtype.kind not in "iufb":
        refuse(
            path, group.name, f"indices of its sparse matrix are {indices.dtype}, {indptr.dtype}, and data {data.dtype}"
        )
    ends = indptr[:]
    if not len(ends) or int(ends[0]) != 0 or bool((ends[1:] < ends[:-1]).any()) or int(ends[-1]) != len(indices):
        refuse(path, group.name, "indptr of its sparse matrix does not ascend from 0 to the number of indices")
    if len(data) != len(indices):
        refuse(path, group.name, f"its sparse matrix has {len(data)} values and {len(indices)} indices")
    n_minor = _minor_length(path, group, len(ends) - 1)
    found = extremes or Extremes.of(indices)
    if found.least < 0 or found.most >= n_minor:
        strange = found.least if found.least < 0 else found.most
        refuse(
            path,
            group.name,
            f"its sparse matrix has the index {strange}, and {n_minor:g} is its length along this axis",
        )


def _minor_length(path: Path, group: Any, n_major: int) -> float:
    """Return the length that indices have to be below; infinity if the group does not tell."""
    shape = next((group.attrs[name] for name in _SHAPES if name in group.attrs), None)
    if shape is None and "shape" in group:
        shape = group["shape"][()]
    if shape is None:
        return math.inf
    values = np.atleast_1d(np.asarray(shape))
    if values.shape != (2,) or values.dtype.kind not in "iu" or int(values.min()) < 0:
        refuse(path, group.name, f"its sparse matrix has the shape {shape}")
    # every row and column has a name in the file, of one byte at least
    if int(values.max()) > path.stat().st_size:
        refuse(path, group.name, f"its sparse matrix has the shape {tuple(values.tolist())}, larger than the file")
    kind = str(next((group.attrs[name] for name in _FORMATS if name in group.attrs), "csc"))[:3]  # 10x says nothing
    if kind not in {"csr", "csc"}:
        return math.inf
    major, minor = values.tolist() if kind == "csr" else values.tolist()[::-1]
    if major != n_major:
        refuse(
            path, group.name, f"its sparse matrix has the shape {tuple(values.tolist())}, and indptr is of {n_major}"
        )
    return float(minor)
