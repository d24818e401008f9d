"""Read input files of commands, with errors that name the file."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from scarches_plus import _cell_files, _limits
from scarches_plus._arguments import at_home, distinct
from scarches_plus.cli._app import AS_IT_IS, Reading
from scarches_plus.cli._terminal import files_read
from scarches_plus.pp import label_tree

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

    from scarches_plus._label_tree import LabelTree

#: Advice where a column of novel cells is missing.
OF_NOVEL = "; the command novel writes such a column"


def read_cells(path: Path, reading: Reading = AS_IT_IS, *, keep_modalities: bool = False) -> Any:
    """Read cells from a file or folder of any format."""
    adata = _cell_files.read_cells(
        path, transpose=reading.transpose, modality=reading.modality, keep_modalities=keep_modalities
    )
    return _read(adata, path, reading)


def _read(adata: Any, path: Path, reading: Reading) -> Any:
    """Note a file that was read, and add columns of a table."""
    files_read.append(path)
    if reading.columns is not None:
        _cell_files.add_columns(adata, reading.columns)
        files_read.append(reading.columns)
    return adata


def read_embeddings(path: Path, reading: Reading = AS_IT_IS) -> Any:
    """Read cells without their counts, which stay where they lie; files that cannot be left on disk are read whole."""
    if reading.transpose or reading.modality is not None:
        return read_cells(path, reading)
    try:
        adata = _cell_files.open_cells(path)
    except (OSError, ValueError):  # another format, or damaged: the reader says what is wrong
        return read_cells(path, reading)
    return _read(adata, path, reading)


def open_store(path: Path) -> Any:
    """Open a .zarr folder with its counts left on disk; ``None`` for a file of another kind."""
    if _cell_files.kind_of(path) != "zarr":
        return None
    adata = _cell_files.open_cells(path)
    files_read.append(path)
    return adata


def read_json(path: Path, what: str, *, example: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    ValueError
        If it is not JSON.
    TypeError
        If it is not an object.
    """
    path = at_home(path)
    if not path.is_file():
        message = f"{path} is not a file; {what} are written like {example}"
        raise FileNotFoundError(message)
    try:
        if path.stat().st_size > _limits.NAMES_BYTES:
            message = f"more than {_limits.NAMES_BYTES / 2**20:.0f} MB"
            raise ValueError(message)
        given = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        message = f"{path} is not JSON of {what}: {error}; write it like {example}"
        raise ValueError(message) from error
    if not isinstance(given, dict):
        message = f"{path} holds no {what}, but a {type(given).__name__}; write it like {example}"
        raise TypeError(message)
    files_read.append(path)
    return given


def read_hierarchy(file: Path | None) -> LabelTree | None:
    """Read a hierarchy of labels, if a file is given."""
    if file is None:
        return None
    file = at_home(file)
    if not file.is_file():
        message = f"{file} is not a file"
        raise FileNotFoundError(message)

    files_read.append(file)
    return label_tree(file)


def require_columns(adata: Any, file: Path, *, hint: str = "", **options: str | None) -> None:
    """Refuse columns that a file does not have, naming those whose names are near.

    Parameters
    ----------
    adata
        Cells.
    file
        Where they were read from.
    hint
        What else can be done.
    **options
        Option to column, ``None`` for those that are not given.

    Raises
    ------
    KeyError
        If a column is missing.
    """
    parts = (adata, *getattr(adata, "mod", {}).values())
    there = list(dict.fromkeys(str(name) for part in parts for name in part.obs.columns))
    for option, column in options.items():
        if column is None or column in there:
            continue
        folded = {name.casefold(): name for name in there}
        near = [folded[one] for one in get_close_matches(column.casefold(), folded, n=3)]
        close = f"; near it: {', '.join(map(repr, near))}" if near else ""
        bare = "; add columns with --columns TABLE" if not there else ""
        message = f"column {column!r} not found in {file} ({_spelled(option)}); the file has {there}{close}{bare}{hint}"
        raise KeyError(message)


def require_different(**options: Any) -> None:
    """Refuse options that name the same column."""
    distinct(**{_spelled(option): column for option, column in options.items()})


def _spelled(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                message = f"{key!r} is given twice"
                raise ValueError(message)
            seen.add(key)
    return found


def require_counts(adata: AnnData | MuData, file: Path, layer: str | None) -> None:
    """Refuse a layer that a file does not have, or cells without counts."""
    layers = {name for part in getattr(adata, "mod", {"": adata}).values() for name in part.layers}
    if layer is None and getattr(adata, "X", None) is None and not hasattr(adata, "mod"):
        message = f"{file} holds no counts (X is empty); pass the file that it was made of"
        raise ValueError(message)
    if layer not in {None, "X"} and layer not in layers:
        known = sorted(layers - {None})  # from anndata 0.13 on None is X
        message = f"layer {layer!r} not found in {file}, which has {known}; --layer X takes X"
        raise KeyError(message)
