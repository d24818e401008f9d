"""Recognise the format of a file or folder of cells by its content."""

from __future__ import annotations

import errno
import re
import stat
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

import h5py

from scarches_plus._arguments import at_home

from ._foreign import HDF5, foreign, head_of, is_packed

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["h5ad", "h5mu", "10x h5", "10x mtx", "loom", "zarr", "table"]
READS = ".h5ad, .h5mu, 10x .h5, a 10x folder of matrix.mtx, .zarr, .loom, and .csv or .tsv of counts"
_MATRICES = ("matrix.mtx", "matrix.mtx.gz")
_ZARR = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")
#: Addresses, as pathlib leaves them.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def resolved(path: str | Path) -> Path:
    """Return the path of a file or folder that is there, ``~`` expanded; or of files that begin with it.

    Raises
    ------
    OSError
        If there is none, naming what is like it, or it cannot be looked at.
    """
    given = at_home(path)
    if not str(path).strip():
        message = "the path of a file of cells is empty"
        raise FileNotFoundError(message)
    try:
        given.stat()
    except FileNotFoundError:
        if given.is_symlink():
            message = f"{given} is a link to {given.readlink()}, which is not there"
            raise FileNotFoundError(message) from None
        if _matrix_with(given) is None:
            raise FileNotFoundError(_missing(given)) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            message = f"{given} is a symbolic link that leads to itself: link it to the file"
            raise OSError(message) from error
        message = f"{given} cannot be read: {error.strerror}"
        raise type(error)(message) from error  # such as PermissionError
    return given


def kind_of(path: str | Path) -> Kind:
    """Return the kind of a file or folder of cells.

    Raises
    ------
    ValueError
        If it holds no cells, saying what it is instead.
    OSError
        If it is not there, or cannot be read.
    """
    path = resolved(path)
    try:
        if path.is_dir():
            return _folder(path)
        if not path.exists():  # what file names begin with
            return "10x mtx"
        if not stat.S_ISREG(path.stat().st_mode):
            message = f"{path} is not a regular file but a pipe or a device: save it as a file, and pass that"
            raise ValueError(message)
        if path.stat().st_size == 0:
            message = f"{path} is empty: fetch or write it again"
            raise ValueError(message)
        if h5py.is_hdf5(path):  # which may begin later, as in .h5mu files
            return _hdf5(path)
        head = head_of(path)
        what = foreign(path, head, packed=is_packed(path))
    except OSError as error:
        if str(path) in str(error.args[0] if error.args else "") or error.errno is None:
            raise
        message = f"{path} cannot be read: {error.strerror}"
        raise type(error)(message) from error
    if what is not None:
        message = f"{path} is {what.replace('FILE', path.name)}"
        raise ValueError(message)
    if head.startswith((HDF5, b"MuData (")):
        message = f"{path} is a damaged HDF5 file: fetch or copy it again"
        raise ValueError(message)
    return "10x mtx" if head.startswith(b"%%MatrixMarket") else "table"


def matrix_of(path: Path) -> Path | None:
    """Return the Matrix Market file that a path means: itself, in the folder, or beginning with it."""
    if path.is_file():
        return path
    found = next((path / name for name in _MATRICES if (path / name).is_file()), None) or _matrix_with(path)
    if found is None and path.is_dir():
        some = sorted(one for name in _MATRICES for one in path.glob(f"*{name}"))
        if len(some) > 1:
            names = ", ".join(str(path / one.name.removesuffix(".gz").removesuffix("matrix.mtx")) for one in some[:5])
            message = f"{path} holds {len(some)} matrices; name one by what its files begin with: {names}"
            raise ValueError(message)
        found = some[0] if some else None
    return found


def _matrix_with(prefix: Path) -> Path | None:
    names = (prefix.with_name(prefix.name + name) for name in _MATRICES) if prefix.name else ()
    return next((one for one in names if one.is_file()), None)


def _folder(path: Path) -> Kind:
    if matrix_of(path) is not None:
        return "10x mtx"
    if any((path / name).is_file() for name in _ZARR):
        return "zarr"
    if (path / "model.pt").is_file():
        message = (
            f"{path} is the folder of a model, not of cells: pass a file of cells, such as {path / 'reference.h5ad'}"
        )
        raise ValueError(message)
    if (path / "manifest.json").is_file():
        message = f"{path} is a bundle of a model, not of cells: pass a file of cells"
        raise ValueError(message)
    names = sorted(one.name for one in path.iterdir())
    inside = [name for name in names if (path / name).is_dir() and matrix_of(path / name) is not None]
    readable = [name for name in names if name.endswith((".h5ad", ".h5mu", ".h5", ".loom", ".csv", ".csv.gz", ".tsv"))]
    for name in (*inside, *readable)[:1]:
        message = f"{path} is a folder: pass what is in it, such as {path / name}"
        raise ValueError(message)
    message = f"{path} is a folder without cells (it holds {names[:5] or 'nothing'}); what is read: {READS}"
    raise ValueError(message)


def _hdf5(path: Path) -> Kind:
    try:
        with h5py.File(path, "r") as file:
            names, encoding = set(file), file.attrs.get("encoding-type", "")
            groups = {name for name in names if file.get(name, getclass=True) is h5py.Group}
            tenx_inside = {
                name for name in groups if {"barcodes", "data", "indices", "indptr"} <= set(file[name])
            } if len(groups) < 100 else set()  # fmt: skip
    except Exception as error:  # a damaged file fails in any way there is
        message = f"{path} is a damaged HDF5 file ({error}): fetch or copy it again"
        raise ValueError(message) from error
    if "mod" in groups or encoding == "MuData":
        return "h5mu"
    if {"obs", "var"} <= names:
        return "h5ad"
    if {"row_attrs", "col_attrs", "matrix"} <= names:
        return "loom"
    if tenx_inside:
        return "10x h5"
    what = "an HDF5 file"
    if {"assays", "cell.names"} <= names:
        what = (
            "an .h5Seurat file, which only R reads: write it from R as .h5ad, for instance with anndataR: "
            'write_h5ad(object, "cells.h5ad"); an HDF5 file'
        )
    elif "barcode_idx" in names:
        what = "10x's molecule_info.h5, not its matrix: pass filtered_feature_bc_matrix.h5; an HDF5 file"
    message = f"{path} is {what} without cells: it holds {sorted(names)[:8]}; what is read: {READS}"
    raise ValueError(message)


def _missing(path: Path) -> str:
    if _ADDRESS.match(str(path)):
        return f"{path} is an address, and no file: download it, and pass the file"
    message = f"{path} is not a file"
    try:
        near = get_close_matches(path.name, [one.name for one in path.parent.iterdir()], n=3)
    except OSError:
        return f"{message}; there is no folder {path.parent}"
    return f"{message}; near it: {', '.join(str(path.parent / name) for name in near)}" if near else message
