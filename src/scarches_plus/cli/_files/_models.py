"""Open models and references for commands, by path, hub name, DOI or address."""

from __future__ import annotations

from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus import load, tl
from scarches_plus._arguments import at_home
from scarches_plus._keys import EMBEDDING
from scarches_plus._visit import REFERENCE, open_known, summary_at
from scarches_plus.bundle import BUNDLE, MODEL_FILE, layout_at
from scarches_plus.cli._terminal import files_read
from scarches_plus.hub import BundleError, import_reference, load_reference, load_summary, local_path

from ._inputs import read_cells, read_embeddings

if TYPE_CHECKING:
    from anndata import AnnData

    from scarches_plus._reference_map import ReferenceMap
    from scarches_plus._reference_summary import ReferenceSummary
    from scarches_plus._visit import Known
    from scarches_plus.model import SCANVI, SCVI, TOTALVI

_MAKE_ONE = "scarches-plus bundle MODEL --reference CELLS --with-cells latent labels --out BUNDLE"


def open_model(what: str) -> SCVI | SCANVI | TOTALVI:
    """Open a model: a path of any layout, a name of a hub, a DOI or an address."""
    files_read.append(Path(what))
    return load(what)


def model_or_cells(what: str) -> Any:
    """Return the model that something names, or the cells of a file."""
    return read_cells(Path(what)) if _model_path(what) is None else open_model(what)


def read_reference(
    what: str,
    *,
    or_model: bool = False,
    keep_modalities: bool = False,
    embedded: bool = True,
    counts: bool = True,
) -> Any:
    """Return a reference's cells, embedded: those of a file, those in a bundle, or those that lie beside a saved model.

    Parameters
    ----------
    what
        File of cells, or what names a model.
    or_model
        Return the model where it came without cells.
    keep_modalities
        Keep all modalities of an .h5mu file.
    embedded
        Embed cells that lie beside a model without an embedding.
    counts
        Read the counts of a file, which otherwise stay there where that can be.

    Raises
    ------
    ValueError
        If a model came without cells, and they are needed.
    """
    path = _model_path(what, with_cells=True)
    if path is None:
        return read_cells(Path(what), keep_modalities=keep_modalities) if counts else read_embeddings(Path(what))
    if (path / REFERENCE).is_file():
        return read_cells(path / REFERENCE, keep_modalities=keep_modalities)
    files_read.append(path)
    try:
        return _cells_of(path, embedded=embedded)
    except (ValueError, FileNotFoundError) as error:
        if or_model:
            return open_model(str(path))
        message = f"{error}; this command needs cells: {_MAKE_ONE}"
        raise ValueError(message) from error


def _cells_of(path: Path, *, embedded: bool) -> AnnData:
    """Return the cells in a bundle, or those beside a saved model."""
    if layout_at(path) == BUNDLE:
        return load_reference(path)
    cells = import_reference(path)
    if embedded and EMBEDDING not in cells.obsm:
        tl.embed(cells, open_model(str(path)))
    return cells


def names_a_model(what: str) -> bool:
    """Return whether something names a model, not a file of cells."""
    return _model_path(what) is not None


def read_summary(what: str, *, or_none: bool = False) -> ReferenceSummary | None:
    """Return the summary of a bundle, ``None`` for what can only have cells, and if asked for a bundle without one."""
    path = _model_path(what, with_cells=True)
    if path is None or (path / REFERENCE).is_file() or layout_at(path) != BUNDLE:
        return None
    files_read.append(path)
    try:
        return summary_at(path) if or_none else load_summary(path)
    except (BundleError, FileNotFoundError) as error:
        message = (
            f"{error}; on the command line, scarches-plus bundle MODEL --reference CELLS --labels-key LABELS --out "
            "BUNDLE keeps it, or pass the reference's cells with counts"
        )
        raise ValueError(message) from error


def open_reference(what: str) -> Known:
    """Open a reference model with all that it carries."""
    files_read.append(Path(what))
    return open_known(_model_path(what, with_cells=True) or at_home(what))


def read_map(what: str) -> ReferenceMap:
    """Return the map of a bundle.

    Raises
    ------
    ValueError
        If it has none, or is no bundle.
    """
    summary = read_summary(what)
    if summary is None or summary.map is None:
        message = f"{what} came without cells, and without a map of them; this command needs one: {_MAKE_ONE}"
        raise ValueError(message)
    return summary.map


def _model_path(what: str, *, with_cells: bool = False) -> Path | None:
    """Return where the model lies that something names, fetched with its cells if asked; ``None`` for cells."""
    path = at_home(what)
    if path.exists():
        is_model = (path / REFERENCE).is_file() or layout_at(path) is not None
        return path if is_model else None
    if Path(f"{path}{MODEL_FILE}").is_file():  # a path may end in what names of files begin with
        return path
    of_10x = path.parent.is_dir() and any(path.parent.glob(f"{escape(path.name)}*matrix.mtx*"))
    return None if of_10x else local_path(what, with_cells=with_cells)
