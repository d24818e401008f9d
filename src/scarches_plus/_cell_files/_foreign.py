"""Detect files that hold no cells by their first bytes, and suggest a fix for each."""

from __future__ import annotations

import bz2
import gzip
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HDF5 = b"\x89HDF\r\n\x1a\n"
#: Bytes of a file that are looked at.
HEAD = 4096
_EXPORT_R = (
    'write counts and columns of cells from R, for instance with anndataR: write_h5ad(object, "cells.h5ad"), or '
    'DropletUtils: write10xCounts("folder", counts)'
)
_EXTRACT = "extract it, and pass the file or folder of cells in it"
_R_DATA = (b"RDX", b"RDA", b"RDB")
_RDS = (b"X\n\x00\x00\x00", b"A\n2\n", b"A\n3\n", b"B\n\x02\x00", b"B\n\x03\x00")
_R_SUFFIXES = {".rds", ".rdata", ".rda", ".robj"}
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "fetch it: git lfs pull"),
    (b"/annex/objects", "a git-annex pointer, not the file itself", "fetch it: git annex get FILE"),
    (b"oid sha256:", "a Git LFS pointer, not the file itself", "fetch it: git lfs pull"),
    (b"%PDF", "a PDF", "pass a file of cells"),
    (b"\x89PNG", "a picture", "pass a file of cells"),
    (b"\xff\xd8\xff", "a picture", "pass a file of cells"),
    (b"PAR1", "a Parquet table", 'write it as text: pandas.read_parquet(file).to_csv("counts.csv")'),
    (b"ARROW1", "a Feather table", 'write it as text: pandas.read_feather(file).to_csv("counts.csv")'),
    (b"FEA1", "a Feather table", 'write it as text: pandas.read_feather(file).to_csv("counts.csv")'),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", "save it as CSV, and pass that; Excel turns some gene names into dates"),
    (b"\xfd7zXZ", "packed with xz", "unpack it: unxz --keep FILE"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard", "unpack it: unzstd FILE"),
    (b"7z\xbc\xaf", "a 7-Zip archive", _EXTRACT),
    (b"Rar!", "a RAR archive", _EXTRACT),
    (b"\x80", "a Python pickle", 'no pickle is opened; where you trust it, load it and adata.write_h5ad("cells.h5ad")'),
    (b"MATLAB 5", "a MATLAB file", "write counts with names of cells and genes as .csv or .h5ad"),
    (b"SQLite format 3", "an SQLite database", "pass a file of cells"),
    (b"\x93NUMPY", "a NumPy array without names of cells and genes", "write it as .h5ad or .csv with names"),
    (b"BM", "a picture", "pass a file of cells"),
)


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked if it is packed with gzip or bzip2."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    opener = gzip.open if head.startswith(b"\x1f\x8b") else bz2.open if head.startswith(b"BZh") else None
    if opener is None:
        return head
    try:
        with opener(path, "rb") as file:
            return bytes(file.read(HEAD))
    except (EOFError, OSError, ValueError) as error:
        message = f"{path} is packed, but damaged ({error}): fetch or copy it again"
        raise ValueError(message) from error


def is_packed(path: Path) -> bool:
    """Return whether a file is packed with gzip or bzip2."""
    with path.open("rb") as file:
        return file.read(3).startswith((b"\x1f\x8b", b"BZh"))


def foreign(path: Path, head: bytes, *, packed: bool) -> str | None:
    """Return what a file is if it holds no cells, with a fix, else ``None``."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:256].lower()
    if packed and head.startswith(HDF5):
        return "a packed HDF5 file: unpack it: gunzip --keep FILE"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return (
            "a web page, not data (a failed download, or a page that asks to log in): fetch the file itself, and look "
            "at it before: head FILE"
        )
    if head.startswith((*_RDS, *_R_DATA)) or path.suffix.lower() in _R_SUFFIXES:  # R packs with xz, too
        return f"R's data (.rds, .RData): {_EXPORT_R}"
    if head[257:262] == b"ustar":
        return f"a tar archive: {_EXTRACT} (tar -xf FILE)"
    if head.startswith(b"PK"):
        return _zip(path)
    for signature, what, fix in _SIGNATURES:
        if head.startswith(signature):
            return f"{what}: {fix}"
    if start.startswith((b"{", b"[")):
        return "JSON: pass a file of cells"
    if b"\0" in head and not head.startswith((HDF5, b"MuData (", b"\xff\xfe", b"\xfe\xff")):
        return f"binary data of an unknown kind (it begins with {head[:8]!r}): pass a file of cells"
    return None


def _zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:1000]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive: fetch or copy it again"
    if any(name.startswith("xl/") for name in names):
        return "an Excel file (.xlsx): save it as CSV, and pass that; Excel turns some gene names into dates"
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file such as model.pt, no cells: pass the folder that it lies in as --model"
    if any(name.rsplit("/", 1)[-1] in {"zarr.json", ".zgroup"} for name in names):
        return "a zipped .zarr: extract it into a folder that ends in .zarr, and pass that"
    if any(name.endswith(".npy") for name in names):
        return "NumPy arrays (.npz) without names of cells and genes: write them as .h5ad or .csv with names"
    return f"a zip archive: {_EXTRACT}"
