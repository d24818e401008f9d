"""Read cells from any file or folder, with its format recognised by content."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from scarches_plus._cells import GENE_NAMES, plain_texts, require_sound_cells
from scarches_plus._logging import logger

from . import _hdf5
from ._kinds import kind_of, resolved
from ._matrix_market import read_matrix_market
from ._tables import read_table
from ._zarr import read_zarr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

    from ._kinds import Kind

_GENE_EXPRESSION = "Gene Expression"


def read_cells(
    path: str | Path, *, transpose: bool = False, modality: str | None = None, keep_modalities: bool = False
) -> AnnData | MuData:
    """Read cells from a file or folder, recognised by its content.

    Parameters
    ----------
    path
        .h5ad, .h5mu, 10x .h5, a 10x folder (or its matrix.mtx, or what its file names begin with), .zarr, .loom, or
        .csv or .tsv of counts.
    transpose
        Take a table the other way round than its names say.
    modality
        Modality of an .h5mu file to take; by default that of the genes.
    keep_modalities
        Return MuData as it is.

    Returns
    -------
    AnnData or MuData
        The cells. Names of genes (and cells) that occur twice in formats of counts are made unique.

    Raises
    ------
    ValueError
        If it holds no cells, is damaged, or has no such modality; the message names the file.
    OSError
        If it is not there or cannot be read.

    Notes
    -----
    What was chosen for the user is logged.
    """
    kind = kind_of(path)
    path = resolved(path)
    if transpose and kind != "table":
        message = f"{path}: only tables of counts can be turned (--transpose), and this is {kind}"
        raise ValueError(message)
    try:
        with warnings.catch_warnings():
            if kind not in {"h5ad", "h5mu", "zarr"}:  # they are made unique below
                warnings.filterwarnings("ignore", message=".*names are not unique", category=UserWarning)
            cells = _read(path, kind, transpose=transpose)
        for part in cells.mod.values() if _is_mudata(cells) else (cells,):
            require_sound_cells(part)  # compiled code trusts their indices
            plain_texts(part)
        plain_texts(cells)  # names that MuData has for all modalities
    except MemoryError as error:
        message = f"{path} needs more memory than there is: pass fewer cells or genes"
        raise ValueError(message) from error
    except Exception as error:  # readers fail in any way there is
        raise ValueError(_said(path, kind, error)) from error
    if _is_mudata(cells):
        return cells if keep_modalities and modality is None else _genes_of(cells, path, modality)
    if modality is not None:
        message = f"{path} has no modalities, so that --modality {modality} has no use: leave it out"
        raise ValueError(message)
    return cells if kind in {"h5ad", "zarr"} else _tidied(cells, path)


def _read(path: Path, kind: Kind, *, transpose: bool) -> Any:
    if kind == "table":
        return read_table(path, transpose=transpose)
    if kind == "10x mtx":
        return read_matrix_market(path)
    if kind == "zarr":
        return read_zarr(path)
    readers: dict[str, Callable[[Path], Any]] = {
        "h5ad": _hdf5.read_h5ad, "h5mu": _hdf5.read_h5mu, "10x h5": _hdf5.read_10x_h5, "loom": _hdf5.read_loom,
    }  # fmt: skip
    return readers[kind](path)


def _said(path: Path, kind: Kind, error: Exception) -> str:
    """Return what a reader said of a file, with its name."""
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    if text.startswith(f"{path} "):
        return text
    if type(error).__name__ == "IORegistryError" or "IOSpec" in text or "No read method registered" in text:
        return (
            f"{path} was written by a newer version of its format than is installed ({text[:200]}): update anndata "
            "(pip install --upgrade anndata), or write the file again with an older one"
        )
    of_code = isinstance(error, AttributeError | TypeError | LookupError | RecursionError)  # says nothing to users
    reason = f"it is damaged, or not laid out as {kind} is; fetch or write it again" if of_code else text
    return f"{path} cannot be read as {kind}: {reason}"


def _is_mudata(cells: Any) -> bool:
    return hasattr(cells, "mod")


def _genes_of(cells: MuData, path: Path, modality: str | None) -> AnnData:
    """Return one modality, with the columns of the whole that it lacks."""
    names = list(cells.mod)
    if modality is None:
        known = [name for name in names if name.lower() in GENE_NAMES]
        if len(known) != 1:
            message = f"{path} has modalities {names}: name that of the genes with --modality"
            raise ValueError(message)
        modality = known[0]
        logger.info("%s: modality %r was taken, of %s", path, modality, names)
    if modality not in names:
        message = f"{path} has no modality {modality!r}; it has {names}"
        raise ValueError(message)
    part = cells.mod[modality].copy()
    for name in cells.obs.columns:
        if name not in part.obs and ":" not in str(name):
            part.obs[name] = cells.obs[name].reindex(part.obs_names)
    return part


def _tidied(cells: AnnData, path: Path) -> AnnData:
    """Keep genes, and make names unique, saying so."""
    kinds = cells.var.get("feature_types")
    if kinds is not None and not (kinds == _GENE_EXPRESSION).all():
        if not (kinds == _GENE_EXPRESSION).any():
            message = f"{path} holds no gene expression, but {sorted(set(kinds))}"
            raise ValueError(message)
        others = kinds[kinds != _GENE_EXPRESSION].value_counts()
        left_out = ", ".join(f"{n} of {kind}" for kind, n in others.items())
        logger.info("%s: genes were kept, other features left out: %s", path, left_out)
        cells = cells[:, (kinds == _GENE_EXPRESSION).to_numpy()].copy()
    if "gene_ids" in cells.var and not cells.var["gene_ids"].equals(cells.var_names.to_series()):
        logger.info("%s: genes have their symbols as names, such as %s", path, ", ".join(cells.var_names[:2]))
    for what, names, unique in (
        ("genes", cells.var_names, cells.var_names_make_unique),
        ("cells", cells.obs_names, cells.obs_names_make_unique),
    ):
        if not names.is_unique:
            repeated: pd.Index = names[names.duplicated()].unique()
            logger.info(
                "%s: %d names of %s occur more than once, such as %s; the further ones got a number (%s-1)",
                path, len(repeated), what, repeated[0], repeated[0],
            )  # fmt: skip
            unique()
    return cells
