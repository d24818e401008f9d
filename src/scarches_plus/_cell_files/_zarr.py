"""Read .zarr folders of AnnData or MuData after checking them."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import anndata
import mudata

from scarches_plus import _limits

from ._memory import memory_bytes
from ._zarr_arrays import unpacked_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

_DESCRIPTIONS = ("zarr.json", ".zarray", ".zmetadata")
#: Descriptions of one array: its own, and that of a list of all, which may be of before a change.
_WAYS = 2


def read_zarr(path: Path) -> AnnData | MuData:
    """Read a .zarr folder of AnnData or MuData.

    Raises
    ------
    ValueError
        If it would lead out of the folder, take far more memory than it has bytes, or holds no cells.
    """
    require_modest(path, memory_bytes())
    if _attributes(path).get("encoding-type") == "MuData":
        return mudata.read_zarr(str(path))
    require_cells(path)
    return anndata.read_zarr(path)


def require_cells(path: Path) -> None:
    """Refuse a folder without tables of cells and genes."""
    if not ((path / "obs").is_dir() and (path / "var").is_dir()):
        message = f"it holds no cells, but {sorted(one.name for one in path.iterdir() if one.is_dir())[:8]}"
        raise ValueError(message)


def require_modest(path: Path, max_bytes: int | None = None) -> None:
    """Refuse links, pipes, code, and arrays that are far larger than their files, or than ``max_bytes``."""
    descriptions, stored = [], 0
    for one in path.rglob("*"):
        found = one.lstat()
        if stat.S_ISLNK(found.st_mode):
            message = f"{one} is a link to somewhere else"
            raise ValueError(message)
        if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
            message = f"{one} is a pipe or a device"
            raise ValueError(message)
        stored += found.st_size if stat.S_ISREG(found.st_mode) else 0
        if one.name in _DESCRIPTIONS:
            descriptions.append(one)
    most = _limits.HDF5_EXPANSION * stored + _limits.HDF5_FREE_BYTES
    most = most if max_bytes is None else min(max_bytes, most)
    seen: dict[Path, list[Any]] = {}
    for file in descriptions:
        for folder, described in _arrays(file.parent, _read(file)):
            others = seen.setdefault(folder, [])
            if described in others:
                continue
            others.append(described)
            try:
                most -= unpacked_bytes(folder, described, most)
                if most < 0 or len(others) > _WAYS:
                    message = f"it declares more data than the {stored} bytes of the folder can hold, or memory"
                    raise ValueError(message)
            except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
                message = f"{folder.relative_to(path)}: {error}"
                raise ValueError(message) from error


def _arrays(folder: Path, described: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the place and the description of each array that a file describes.

    The array is the file's own or, in a list of all arrays, one of those below it.
    """
    if "shape" in described:
        yield folder, described
    inside = described.get("consolidated_metadata") or {}
    for key, one in {**inside.get("metadata", {}), **described.get("metadata", {})}.items():
        parts = key.removesuffix("/.zarray").split("/")
        if any(part in {"", ".", ".."} or "\\" in part for part in parts):
            message = f"{key!r} leads out of the folder"
            raise ValueError(message)
        if isinstance(one, dict) and "shape" in one and parts[-1] != ".zattrs":
            yield folder.joinpath(*parts), one


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
