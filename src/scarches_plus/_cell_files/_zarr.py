"""Read .zarr folders, looked through before."""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Any

from scarches_plus import _limits

from ._memory import memory_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

_ARRAYS = ("zarr.json", ".zarray")
_LARGEST_VALUE = 16


def read_zarr(path: Path) -> AnnData | MuData:
    """Read a .zarr folder of AnnData or MuData.

    Raises
    ------
    ValueError
        If it would lead out of the folder, take more memory than there is, or holds no cells.
    """
    _require_modest(path)
    if _attributes(path).get("encoding-type") == "MuData":
        import mudata

        return mudata.read_zarr(str(path))
    if not ((path / "obs").is_dir() and (path / "var").is_dir()):
        message = f"it holds no cells, but {sorted(one.name for one in path.iterdir() if one.is_dir())[:8]}"
        raise ValueError(message)
    import anndata

    return anndata.read_zarr(path)


def _require_modest(path: Path) -> None:
    """Refuse links that lead out of the folder, and arrays larger than the memory."""
    inside, most, total = path.resolve(), memory_bytes(), 0
    for one in path.rglob("*"):
        if one.is_symlink() and not one.resolve().is_relative_to(inside):
            message = f"{one} is a link to somewhere else"
            raise ValueError(message)
        if one.name in _ARRAYS:
            total += _bytes_of(_read(one))
        if total > most:
            message = f"it declares more than the {most / 2**30:.0f} GiB of memory here, the last in {one.parent.name}"
            raise ValueError(message)


def _bytes_of(described: dict[str, Any]) -> int:
    """Return how much memory an array takes, 0 for a group."""
    import numpy as np

    kind = described.get("data_type", described.get("dtype", ""))
    try:
        size = np.dtype(kind).itemsize or _LARGEST_VALUE
    except (TypeError, ValueError):  # texts
        size = _LARGEST_VALUE
    return prod(int(length) for length in described.get("shape", ())) * size if "shape" in described else 0


def _attributes(path: Path) -> dict[str, Any]:
    for name, key in (("zarr.json", "attributes"), (".zattrs", None)):
        if (path / name).is_file():
            described = _read(path / name)
            return described.get(key, {}) if key else described
    return {}


def _read(file: Path) -> dict[str, Any]:
    if file.stat().st_size > _limits.ZARR_JSON_BYTES:
        message = f"{file} is larger than {_limits.ZARR_JSON_BYTES} bytes"
        raise ValueError(message)
    described = json.loads(file.read_text(encoding="utf-8"))
    return described if isinstance(described, dict) else {}
