"""Write a .zarr folder of AnnData whose counts come block by block."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from anndata.io import write_elem
from zarr.codecs import BloscCodec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pandas as pd
    from scipy import sparse

#: Values that are packed together: reading any cell unpacks so many.
_CHUNK = 2**16
#: Values in one file.
_SHARD = 2**22
_SPARSE = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0"}


def write_zarr_blocks(
    path: Path,
    blocks: Iterable[sparse.csr_matrix],
    n_values: int,
    dtype: np.dtype,
    *,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    **others: Mapping[str, Any],
) -> None:
    """Write AnnData in zarr's third format, counts in large files of small chunks.

    Parameters
    ----------
    path
        Empty folder.
    blocks
        Counts of all cells, some at a time.
    n_values, dtype
        Number of values that all blocks store, and their type.
    obs, var
        Tables of cells and genes.
    **others
        ``varm``, ``uns``.
    """
    with warnings.catch_warnings():
        # texts and consolidated metadata, which anndata writes so, are not yet in zarr's specification
        warnings.filterwarnings(
            "ignore", message=".*(not part (of|in) the Zarr format 3|does not have a Zarr V3|v3 autosharding)"
        )
        root = zarr.open_group(path, mode="w", zarr_format=3)
        root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for name in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
            write_elem(root, name, others.get(name, {}))
        write_elem(root, "obs", obs)
        write_elem(root, "var", var)
        counts = root.create_group("X", attributes={**_SPARSE, "shape": [len(obs), len(var)]})
        data = _Appended(counts, "data", n_values, dtype)
        indices = _Appended(counts, "indices", n_values, np.dtype(np.int32))
        sizes = [np.zeros(1, dtype=np.int64)]
        for block in blocks:
            data.append(block.data)
            indices.append(block.indices)
            sizes.append(np.diff(block.indptr).astype(np.int64))
        data.finish()
        indices.finish()
        _array(counts, "indptr", len(obs) + 1, np.dtype(np.int64))[:] = np.cumsum(np.concatenate(sizes))
        zarr.consolidate_metadata(root.store)


class _Appended:
    """An array that is written from its front to its end, a whole file at a time."""

    def __init__(self, group: Any, name: str, length: int, dtype: np.dtype) -> None:
        self._array = _array(group, name, length, dtype)
        self._held: list[np.ndarray] = []
        self._n_held = self._n_written = 0

    def append(self, values: np.ndarray) -> None:
        self._held.append(values)
        self._n_held += len(values)
        if self._n_held >= _SHARD:
            self._write(self._n_held - self._n_held % _SHARD)

    def finish(self) -> None:
        self._write(self._n_held)
        if self._n_written != self._array.shape[0]:
            message = f"{self._n_written} of {self._array.shape[0]} values were written"
            raise ValueError(message)

    def _write(self, n: int) -> None:
        values = np.concatenate([np.empty(0, self._array.dtype), *self._held])
        if n:
            self._array[self._n_written : self._n_written + n] = values[:n]
        self._held, self._n_held = [values[n:].copy()], len(values) - n
        self._n_written += n


def _array(group: Any, name: str, length: int, dtype: np.dtype) -> Any:
    n_chunks = -(-max(1, length) // _CHUNK)
    shard = _CHUNK * min(n_chunks, _SHARD // _CHUNK)
    packed = BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
    return group.create_array(
        name, shape=(length,), dtype=dtype, chunks=(_CHUNK,), shards=(shard,), compressors=packed, fill_value=0
    )
