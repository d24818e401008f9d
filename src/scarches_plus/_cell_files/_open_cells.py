"""Open .h5ad files and .zarr folders with their counts left on disk."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import h5py
import zarr
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset

from scarches_plus._cells import plain_texts
from scarches_plus._hdf5 import check_hdf5

from ._kinds import kind_of, resolved
from ._zarr import require_cells, require_modest
from ._zarr_arrays import DESCRIPTIONS

if TYPE_CHECKING:
    from pathlib import Path

#: What systems and HDF5 say of too many open files.
_TOO_MANY = os.strerror(errno.EMFILE)
#: Slots that are read into memory; graphs of cells (obsp) and raw are left out.
_READ = ("uns", "obsm", "varm")


def open_cells(path: str | Path) -> AnnData:
    """Open cells with X and layers left on disk, and everything else of them in memory.

    Parameters
    ----------
    path
        An .h5ad file, or a .zarr folder of AnnData.

    Raises
    ------
    ValueError
        If it is of another kind, damaged, or leads out of itself; the message names it.
    OSError
        If it is not there or cannot be read.
    """
    try:
        return _open(path)
    except (OSError, ValueError) as error:
        if _TOO_MANY not in str(error):
            raise
        message = (
            f"{path} cannot be opened: this process has as many files open as it may. Allow more (ulimit -n 4096), "
            "or join the files in two steps"
        )
        raise OSError(message) from error


def _open(path: str | Path) -> AnnData:
    kind = kind_of(path)
    path = resolved(path)
    if kind not in {"h5ad", "zarr"}:
        message = f"{path} is {kind}, and counts stay on disk in .h5ad and .zarr only: read it, and write it as .h5ad"
        raise ValueError(message)
    try:
        if kind == "h5ad":
            check_hdf5(path)
            return _opened(h5py.File(path, "r"))
        require_modest(path)
        require_cells(path)
        folder: Any = zarr.open_group(path, mode="r")
        for name in ("X", *(f"layers/{layer}" for layer in folder.get("layers", ()))):
            if name in folder:
                _require_files(path / name, folder[name])
        return _opened(folder)
    except Exception as error:  # readers fail in any way there is
        text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
        if text.startswith(f"{path} "):
            raise
        message = f"{path} cannot be opened as {kind}: {text or type(error).__name__}; fetch or write it again"
        raise ValueError(message) from error


def _opened(file: Any) -> AnnData:
    layers = {name: _left(file["layers"][name]) for name in file.get("layers", ())}
    others = {name: read_elem(file[name]) for name in _READ if name in file}
    counts = _left(file["X"]) if "X" in file else None
    return plain_texts(AnnData(counts, read_elem(file["obs"]), read_elem(file["var"]), layers=layers, **others))


def _require_files(place: Path, matrix: Any) -> None:
    """Refuse a sparse matrix of which files are lost, for which zarr would give zeros.

    Of a matrix without values it writes none, as of any chunk of zeros.
    """
    if not hasattr(matrix, "keys") or not matrix["data"].shape[0]:
        return
    for name in ("data", "indices", "indptr"):
        array = matrix[name]
        n_files = -(-array.shape[0] // (array.shards or array.chunks)[0])
        found = sum(file.is_file() and file.name not in DESCRIPTIONS for file in (place / name).rglob("*"))
        if found < n_files:
            message = (
                f"{place.name}/{name} has {found} of its {n_files} files (stored zeros have none: eliminate_zeros() "
                "before writing)"
            )
            raise ValueError(message)


def _left(stored: Any) -> Any:
    """Return a matrix where it lies."""
    return sparse_dataset(stored) if hasattr(stored, "keys") else stored
