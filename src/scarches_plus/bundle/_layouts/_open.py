"""Open the model at a path, in any layout, without executing its files."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from scarches_plus._arguments import at_home
from scarches_plus._cells import is_mudata
from scarches_plus._files import read_folder
from scarches_plus._hdf5 import read_checked
from scarches_plus._logging import logger
from scarches_plus.bundle._load_bundle import load_bundle

from ._find import BUNDLE, FORMER, SCVI_TOOLS
from ._locate import located

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from mudata import MuData

    from ._find import Place
    from ._saved_model import SavedModel


def open_path(
    path: str | Path,
    adata: Any = False,  # noqa: FBT002
    *,
    expected: Any = None,
    prefix: str | None = None,
    trust_pickle: bool = False,
    **options: Any,
) -> Any:
    """Return the model at a path.

    Parameters
    ----------
    path
        Folder, file or archive.
    adata
        Cells the model was trained on, ``None`` for those that lie beside it, if any, ``False`` for none.
    expected
        Class that the model has to be of.
    prefix
        What the names of its files begin with.
    trust_pickle
        Let scvi-tools open its own file, which executes what it says; without meaning for other layouts.
    **options
        ``accelerator`` and ``device``; with ``trust_pickle`` whatever else ``load`` of scvi-tools takes.

    Raises
    ------
    FileNotFoundError
        If there is nothing, or no model; the message says what is there instead.
    ValueError
        If a file is damaged or something else, or asks for more than a model needs, or the model is of another class,
        or the cells are others; if there are several models.
    TypeError
        If the model is of a class that this package does not support.
    """
    with located(at_home(path), prefix, with_cells=adata is None) as (folder, place):
        adata = False if adata is None and place.file else adata  # cells beside a file of another name are not its own
        further = sorted(set(options) - {"accelerator", "device"})
        if further and place.layout != SCVI_TOOLS:
            message = f"{folder / place.name} takes no {', '.join(further)}: scvi-tools does not open it"
            raise TypeError(message)
        if place.layout == BUNDLE:
            return _of_bundle(folder, adata, expected, options)
        if trust_pickle and place.layout != FORMER:
            return _trusted(folder, place, adata, expected, **options)
        saved, cells = read_folder(folder, lambda there: _read(there, place, with_cells=adata is None))
        return _of_saved(saved, adata if cells is None else cells, expected, prepared=cells is not None, **options)


def model_of(source: Any) -> Any:
    """Return a model of this package: the same one, a copy of one of scvi-tools, or the one at a path."""
    if isinstance(source, str | Path):
        return open_path(source)
    from scarches_plus.model._saved._convert import as_own

    return as_own(source)


def read_registry(path: str | Path, prefix: str | None = None) -> dict[str, Any]:
    """Return scvi-tools' registry of the model at a path.

    Raises
    ------
    ValueError
        If there is a bundle, which has none; else as :func:`open_path`.
    """
    with located(at_home(path), prefix) as (folder, place):
        if place.layout == BUNDLE:
            message = (
                f"{folder} is a bundle, which holds no registry of scvi-tools: sp.load(path).registry_ is that of its "
                "model"
            )
            raise ValueError(message)
        saved, _ = read_folder(folder, lambda there: _read(there, place, with_cells=False))
        return saved.attribute("registry_")  # type: ignore[no-any-return]


def _of_bundle(folder: Path, adata: Any, expected: Any, options: dict[str, Any]) -> Any:
    model = load_bundle(folder)
    _require_class(type(model).__name__, expected, folder)
    if adata is not None and adata is not False:
        model.take_cells(adata)
    from scvi.model._utils import parse_device_args

    where = {"accelerator": "auto", "device": "auto", **options}
    *_, place = parse_device_args(
        where["accelerator"], where["device"], return_device="torch", validate_single_device=True
    )
    if place != model.device:
        model.to_device(place)
    return model


def _trusted(folder: Path, place: Place, adata: Any, expected: Any, **options: Any) -> Any:
    """Let torch unpickle a file of scvi-tools, which may hold anything.

    A totalVI model is brought into the form that it has here.
    """
    from ._scvi_tools import unpickle_model

    saved = unpickle_model(folder / place.name)
    cls = _class_of(saved, expected)
    if cls.__name__ == "TOTALVI" or place.file:
        cells = _cells_beside(folder, place) if adata is None else None
        return _of_saved(saved, adata if cells is None else cells, expected, prepared=cells is not None, **options)
    return cls._load_with_cells(folder, adata, prefix=place.prefix or None, **options)


def _read(folder: Path, place: Place, *, with_cells: bool) -> tuple[SavedModel, AnnData | MuData | None]:
    """Return a model, and cells that were saved with it, from one and the same folder."""
    if place.layout == FORMER:
        from ._former import read_former

        saved = read_former(folder, place.prefix)
    else:
        from ._scvi_tools import read_model

        saved = read_model(folder / place.name)
    return saved, _cells_beside(folder, place) if with_cells else None


def _cells_beside(folder: Path, place: Place) -> Any:
    """Return the cells beside a model, ``None`` if there are none."""
    from ._cells_beside import cells_beside, reader_of

    file = cells_beside(folder, place.prefix)
    return None if file is None else read_checked(file, reader_of(file))


def _of_saved(saved: SavedModel, adata: Any, expected: Any, *, prepared: bool = False, **options: Any) -> Any:
    """Return the model that was read, with cells as the user has them or, ``prepared``, as a model takes them."""
    from scarches_plus.model._saved._own_cells import is_minified, with_names_of_today
    from scarches_plus.model._state import note_origin

    from ._clean_folder import write_clean_folder
    from ._complete import complete
    from ._saved_model import with_path

    cls = _class_of(saved, expected)
    name = cls.__name__
    if saved.refused:
        logger.info(f"{saved.path}: left out {sorted(saved.refused)}, which are no plain values")
    if prepared:
        adata = with_names_of_today(adata)
        prepared = is_mudata(adata) or name != "TOTALVI"  # which takes AnnData apart
    has_cells = adata is not None and adata is not False
    if has_cells and name == "TOTALVI" and not is_mudata(adata) and is_minified(adata):
        message = (
            f"{saved.path}: the cells are minified AnnData, which a totalVI does not take here: open the model without "
            "them (sp.load(path)), and the cells with sp.hub.import_reference(path)"
        )
        raise TypeError(message)
    with TemporaryDirectory() as folder:
        write_clean_folder(complete(saved), Path(folder))

        def load() -> Any:
            take = cls._load_trusted if prepared else cls._load_with_cells
            with _private_folder_unsaid():
                return take(Path(folder), adata, **options)

        model = with_path(saved, load, "cannot be opened") if not has_cells else load()
    note_origin(model, saved.attribute("registry_"))
    return model


def _class_of(saved: SavedModel, expected: Any) -> Any:
    from scarches_plus.model._saved._convert import class_of

    _require_class(saved.model_class, expected, saved.path)
    try:
        return class_of(saved.model_class)
    except TypeError as error:
        message = f"{saved.path}: {error}; use it with scvi-tools"
        raise TypeError(message) from None


def _require_class(name: str, expected: Any, path: Path) -> None:
    if expected is not None and name != expected.__name__:
        message = f"{path} holds a {name} and no {expected.__name__}; sp.load opens models of any class"
        raise ValueError(message)


@contextmanager
def _private_folder_unsaid() -> Iterator[None]:
    """Keep scvi-tools from telling users that a file of a private folder need not be downloaded."""
    notes = logging.getLogger("scvi.data._download")
    level = notes.level
    notes.setLevel(logging.WARNING)
    try:
        yield
    finally:
        notes.setLevel(level)
