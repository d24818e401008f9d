"""Open what commands are told to take as a model or a reference, whatever names it."""

from __future__ import annotations

from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus._arguments import at_home
from scarches_plus._keys import EMBEDDING

from ._inputs import files_read, read_cells
from ._steps import REFERENCE

if TYPE_CHECKING:
    from scarches_plus._label_profiles import LabelProfiles
    from scarches_plus.model import SCANVI, SCVI

_MAKE_ONE = "scarches-plus bundle MODEL --reference CELLS --with-cells latent labels --out BUNDLE"


def open_model(what: str) -> SCVI | SCANVI:
    """Open a model: a path of any layout, a name of a hub, a DOI or an address."""
    from scarches_plus import load

    files_read.append(Path(what))
    return load(what)  # type: ignore[return-value]


def model_or_cells(what: str) -> Any:
    """Return the model that something names, or the cells of a file."""
    return read_cells(Path(what)) if _model_path(what) is None else open_model(what)


def read_reference(what: str, *, or_model: bool = False, keep_modalities: bool = False) -> Any:
    """Return a reference's cells: those of a file, those that ``build`` left beside its model, or those of a bundle.

    Parameters
    ----------
    what
        File of cells, or what names a model.
    or_model
        Return the model where it came without cells.
    keep_modalities
        Keep all modalities of an .h5mu file.

    Raises
    ------
    ValueError
        If a model came without cells, and they are needed.
    """
    folder = _model_path(what, with_cells=True)
    if folder is None:
        return read_cells(Path(what), keep_modalities=keep_modalities)
    if (folder / REFERENCE).is_file():
        return read_cells(folder / REFERENCE, keep_modalities=keep_modalities)
    from scarches_plus.hub import BundleError, import_reference, load_reference

    files_read.append(folder)
    if (folder / "adata.h5ad").is_file():  # of scvi-hub
        cells = import_reference(folder)
        if EMBEDDING in cells.obsm:
            return cells
    try:
        return load_reference(folder)
    except (BundleError, FileNotFoundError) as error:
        if or_model:
            return open_model(str(folder))
        message = f"{error}; this command needs cells: {_MAKE_ONE}"
        raise ValueError(message) from error


def read_profiles(what: str) -> LabelProfiles | None:
    """Return the label profiles of a bundle, ``None`` for a file of cells."""
    folder = _model_path(what)
    if folder is None:
        return None
    from scarches_plus.hub import BundleError, load_profiles

    files_read.append(folder)
    try:
        return load_profiles(folder)
    except (BundleError, FileNotFoundError) as error:
        message = (
            f"{error}; on the command line, scarches-plus bundle MODEL --reference CELLS --labels-key LABELS --out BUNDLE "
            "keeps them, or pass the reference's cells with counts"
        )
        raise ValueError(message) from error


def _model_path(what: str, *, with_cells: bool = False) -> Path | None:
    """Return where the model lies that something names, fetched with its cells if asked; ``None`` for cells."""
    from scarches_plus.bundle import layout_at
    from scarches_plus.hub import local_path

    path = at_home(what)
    if path.with_name(f"{path.name}model.pt").is_file():  # a path may end in what names of files begin with
        return path
    if path.exists():
        is_model = (path / REFERENCE).is_file() or layout_at(path) is not None
        return path if is_model else None
    of_10x = path.parent.is_dir() and any(path.parent.glob(f"{escape(path.name)}*matrix.mtx*"))
    return None if of_10x else local_path(what, with_cells=with_cells)
