"""Check output paths before commands read anything, and write results atomically."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus._arguments import at_home
from scarches_plus._cell_files import kind_of, resolved
from scarches_plus._files import check_apart, check_output_file, check_output_folder, check_space, write_file
from scarches_plus.bundle import no_bundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CELLS = (".h5ad",)
#: Bytes that any output takes: less is a full disk.
_FEWEST = 100_000
#: Units of a hidden layer of scvi-tools' networks by default.
_UNITS = 128
#: Dimensions of the latent space of scvi-tools' networks by default.
_LATENT = 10
#: Bytes of a number.
_FLOAT = 4


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
    if updates is not None:
        updates = resolved(updates)
        if at_home(out).is_dir():
            return check_output_file(out)
        if kind_of(updates) != out.suffix.removeprefix("."):  # a table would be replaced by something else
            check_apart({"--out": out}, {"the file of cells": updates})
    check_apart({"--out": out}, reads)
    n_bytes = max(_FEWEST, 0 if updates is None else size_of(updates))
    return check_output_file(out, suffixes=suffixes, n_bytes=n_bytes)


def output_folder(
    out: Path,
    reads: Mapping[str, Path | None],
    *,
    option: str = "--out",
    overwrite: bool = False,
    n_bytes: int = 0,
    bundle: bool = False,
) -> Path:
    """Return the path of the folder of a model or bundle to write as a whole, checked.

    Parameters
    ----------
    out
        The folder.
    reads
        What the command reads.
    option
        How messages call the folder.
    overwrite
        Replace a model that is there.
    n_bytes
        How large the model will be, if that is known.
    bundle
        Whether a bundle is written, and only a bundle may be replaced; else only a model.

    Raises
    ------
    OSError
        If it is there and is not to be replaced, or cannot be written.
    ValueError
        If the command reads something in it.
    """
    folder = at_home(out)
    if folder.exists() and not overwrite:
        message = f"{folder} exists; choose another folder or pass --overwrite"
        raise FileExistsError(message)
    if overwrite:
        check_apart({option: folder}, reads)
    return check_output_folder(
        folder, overwrite=overwrite, n_bytes=max(_FEWEST, n_bytes), foreign=_no_bundle if bundle else _no_model
    )


def output_files(folder: Path, names: Iterable[str], reads: Mapping[str, Path | None]) -> Path:
    """Return a folder to write some files into, each checked; other files in it stay."""
    folder = at_home(folder)
    for name in names:
        output_file(folder / name, (Path(name).suffix,), reads)
    return folder


def require_room(out: Path, adata: Any) -> None:
    """Require that the disk has room for a model of these cells and what is kept of them.

    Raises
    ------
    OSError
        If it has not.
    """
    weights = 2 * adata.n_vars * _UNITS * _FLOAT  # those of the genes are nearly all
    check_space(out, max(_FEWEST, weights + adata.n_obs * _LATENT * _FLOAT))


def size_of(path: Path) -> int:
    """Return the bytes of a file or folder; 0 if it is not there."""
    path = at_home(path)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file())


def write_cells(adata: Any, path: Path) -> None:
    """Write AnnData or MuData."""
    if hasattr(adata, "mod"):
        write_file(path, lambda file: adata.write_h5mu(file, compression="gzip"))
    else:
        write_file(path, lambda file: adata.write_h5ad(file, compression="gzip"))


def _no_model(folder: Path) -> str | None:
    return None if (folder / "model.pt").is_file() else "it holds no model"


def _no_bundle(folder: Path) -> str | None:
    return no_bundle(folder)
