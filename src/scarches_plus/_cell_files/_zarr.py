"""Read .zarr folders, looked through before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._memory import memory_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData


def read_zarr(path: Path) -> AnnData | MuData:
    """Read a .zarr folder of AnnData or MuData.

    Raises
    ------
    ValueError
        If it would lead out of the folder, take more memory than there is, or holds no cells.
    """
    import anndata
    import zarr

    inside = path.resolve()
    for one in path.rglob("*"):
        if one.is_symlink() and not one.resolve().is_relative_to(inside):
            message = f"{one} is a link to somewhere else"
            raise ValueError(message)
    group = zarr.open_group(str(path), mode="r")
    most, total = memory_bytes(), 0
    for name, member in group.members(max_depth=None):
        total += int(getattr(member, "nbytes", 0))
        if total > most:
            message = f"it declares more than the {most / 2**30:.0f} GiB of memory here, the last in {name}"
            raise ValueError(message)
    if group.attrs.get("encoding-type") == "MuData":
        import mudata

        return mudata.read_zarr(str(path))
    if "obs" not in group or "var" not in group:
        message = f"it holds no cells, but {sorted(group)[:8]}"
        raise ValueError(message)
    return anndata.read_zarr(path)
