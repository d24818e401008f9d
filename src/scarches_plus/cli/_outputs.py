"""Check what commands write before they read, and write it in one step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus._files import check_apart, check_output_file, check_output_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CELLS = (".h5ad",)
#: Bytes that any output takes: less is a full disk.
_FEWEST = 100_000


def output_file(
    out: Path,
    suffixes: tuple[str, ...],
    reads: Mapping[str, Path | None] | None = None,
    *,
    updates: Path | None = None,
) -> Path:
    """Return the path of a file to write, checked.

    Parameters
    ----------
    out
        The file.
    suffixes
        How its name must end.
    reads
        What the command reads, and so must not replace.
    updates
        The file of cells, which may be replaced by the same cells with more columns.

    Raises
    ------
    OSError
        If it cannot be written there.
    ValueError
        If its name does not end so, or it is a file that the command reads.
    """
    from scarches_plus._cell_files import kind_of, resolved

    if updates is not None:
        updates = resolved(updates)
        if kind_of(updates) != out.suffix.removeprefix("."):  # a table would be replaced by something else
            check_apart({"--out": out}, {"the file of cells": updates})
    check_apart({"--out": out}, reads)
    n_bytes = max(_FEWEST, 0 if updates is None else _size(updates))
    return check_output_file(out, suffixes=suffixes, n_bytes=n_bytes)


def output_folder(
    out: Path, reads: Mapping[str, Path | None], *, option: str = "--out", overwrite: bool = False
) -> Path:
    """Return the path of the folder of a model to write as a whole, checked.

    Raises
    ------
    OSError
        If it is there and is not to be replaced, or cannot be written.
    ValueError
        If the command reads something in it.
    """
    folder = out.expanduser()
    if folder.exists() and not overwrite:
        message = f"{folder} exists; choose another folder or pass --overwrite"
        raise FileExistsError(message)
    if overwrite:
        check_apart({option: folder}, reads)
    return check_output_folder(folder, overwrite=overwrite, n_bytes=_FEWEST, foreign=_no_model)


def output_files(folder: Path, names: Iterable[str], reads: Mapping[str, Path | None]) -> Path:
    """Return a folder to write some files into, each checked; other files in it stay."""
    folder = folder.expanduser()
    for name in names:
        output_file(folder / name, (Path(name).suffix,), reads)
    return folder


def write_cells(adata: Any, path: Path) -> None:
    """Write AnnData or MuData."""
    if hasattr(adata, "mod"):
        write_file(path, lambda file: adata.write_h5mu(file, compression="gzip"))
    else:
        write_file(path, lambda file: adata.write_h5ad(file, compression="gzip"))


def _no_model(folder: Path) -> str | None:
    return None if (folder / "model.pt").is_file() else "it holds no model"


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file())
