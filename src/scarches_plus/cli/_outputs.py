"""Check what commands write before they read, and write it in one step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus._files import check_output_file, check_output_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable

CELLS = (".h5ad",)
CELLS_OR_MODALITIES = (".h5ad", ".h5mu")


def output_file(
    out: Path, suffixes: tuple[str, ...], reads: Iterable[Path | None] = (), *, updates: Path | None = None
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
        A file that it reads and may replace by the same cells with more columns.

    Raises
    ------
    OSError
        If it cannot be written there.
    ValueError
        If its name does not end so, or it is a file that the command reads.
    """
    out = out.expanduser()
    for read in _given(reads):
        if _same(out, read):
            message = f"--out {out} is a file that the command reads: name another"
            raise ValueError(message)
    if updates is not None and _same(out, updates):
        from scarches_plus._cell_files import kind_of

        kind = kind_of(updates)
        if kind != out.suffix.removeprefix("."):
            message = f"--out {out} is the file of cells itself, {kind}, which would be replaced: name another"
            raise ValueError(message)
    return check_output_file(out, suffixes=suffixes, n_bytes=0 if updates is None else _size(updates))


def output_folder(
    out: Path, reads: Iterable[Path | None] = (), *, option: str = "--out", overwrite: bool = False
) -> Path:
    """Return the path of a folder to write as a whole, checked.

    Raises
    ------
    OSError
        If it is there and is not to be replaced, or cannot be written.
    ValueError
        If the command reads something in it.
    """
    out = out.expanduser()
    for read in _given(reads):
        if _inside(read, out):
            message = f"{option} {out} holds {read}, which the command reads: name another folder"
            raise ValueError(message)
    if overwrite and out.is_dir() and any(out.iterdir()) and not (out / "model.pt").is_file():
        message = f"{option} {out} is a folder that holds no model, and is not replaced: name another folder"
        raise FileExistsError(message)
    if out.exists() and not overwrite:
        message = f"{out} exists; choose another folder or pass --overwrite"
        raise FileExistsError(message)
    return check_output_folder(out, overwrite=overwrite)


def output_files(folder: Path, names: Iterable[str], reads: Iterable[Path | None] = ()) -> Path:
    """Return a folder to write some files into, each checked; other files in it stay."""
    folder = folder.expanduser()
    given = list(_given(reads))
    for name in names:
        output_file(folder / name, (Path(name).suffix,), given)
    return folder


def write_cells(adata: Any, path: Path) -> None:
    """Write AnnData or MuData."""
    if hasattr(adata, "mod"):
        write_file(path, lambda file: adata.write_h5mu(file, compression="gzip"))
    else:
        write_file(path, lambda file: adata.write_h5ad(file, compression="gzip"))


def _given(paths: Iterable[Path | None]) -> Iterable[Path]:
    return (path.expanduser() for path in paths if path is not None)


def _same(one: Path, other: Path) -> bool:
    return one.expanduser().resolve() == other.expanduser().resolve()


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _size(path: Path) -> int:
    path = path.expanduser()
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file())
