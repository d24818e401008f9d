"""h5ad files looked through before they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._manifest import BundleError

if TYPE_CHECKING:
    from pathlib import Path

_DEEPEST = 32
_MOST_OBJECTS = 100_000


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
            total = n_objects = 0
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
                        total += int(one.size or 0) * one.dtype.itemsize
                    if total > max_bytes:
                        _refuse(path, f"it declares more than {max_bytes} bytes of data, the last in {place}")
                    if depth > _DEEPEST or n_objects > _MOST_OBJECTS:
                        _refuse(path, "it nests too deep, or in a circle")
    except (OSError, RuntimeError, KeyError) as error:
        message = f"{path} is no readable h5ad file: {error}"
        raise BundleError(message) from error


def _refuse(path: Path, why: str) -> None:
    message = f"{path} is refused: {why}"
    raise BundleError(message)
