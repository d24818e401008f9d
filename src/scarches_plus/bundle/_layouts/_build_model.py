"""Build models from what was read of files: bundles, tensors and plain values, or pickles that the user trusts."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from scvi.model._utils import parse_device_args

from scarches_plus._cells import is_mudata
from scarches_plus._hdf5 import read_checked
from scarches_plus._logging import logger
from scarches_plus.bundle._finding._find import FORMER
from scarches_plus.bundle._load_bundle import load_bundle
from scarches_plus.model import class_of, is_minified, note_origin, with_names_of_today

from ._cells_beside import cells_beside, reader_of
from ._clean_folder import write_clean_folder
from ._complete import complete
from ._former import read_former
from ._saved_model import with_path
from ._scvi_tools import read_model, unpickle_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from mudata import MuData

    from scarches_plus.bundle._finding._find import Place

    from ._saved_model import SavedModel


def from_bundle(folder: Path, adata: Any, expected: Any, options: dict[str, Any]) -> Any:
    """Return the model of a bundle, on the device that was asked for."""
    model = load_bundle(folder)
    _require_class(type(model).__name__, expected, folder)
    if adata is not None and adata is not False:
        model.take_cells(adata)
    where = {"accelerator": "auto", "device": "auto", **options}
    *_, place = parse_device_args(
        where["accelerator"], where["device"], return_device="torch", validate_single_device=True
    )
    if place != model.device:
        model.to_device(place)
    return model


def from_pickle(folder: Path, place: Place, adata: Any, expected: Any, **options: Any) -> Any:
    """Let torch unpickle a file of scvi-tools, which may hold anything.

    A totalVI model is brought into the form that it has here.
    """
    saved = unpickle_model(folder / place.name)
    cls = _class_of(saved, expected)
    if cls.__name__ == "TOTALVI" or place.file:
        cells = _cells_beside(folder, place) if adata is None else None
        return from_saved(saved, adata if cells is None else cells, expected, prepared=cells is not None, **options)
    return cls._load_with_cells(folder, adata, prefix=place.prefix or None, **options)


def read_saved(folder: Path, place: Place, *, with_cells: bool) -> tuple[SavedModel, AnnData | MuData | None]:
    """Return a model, and cells that were saved with it, from one and the same folder."""
    saved = read_former(folder, place.prefix) if place.layout == FORMER else read_model(folder / place.name)
    return saved, _cells_beside(folder, place) if with_cells else None


def _cells_beside(folder: Path, place: Place) -> Any:
    """Return the cells beside a model, ``None`` if there are none."""
    file = cells_beside(folder, place.prefix)
    return None if file is None else read_checked(file, reader_of(file))


def from_saved(saved: SavedModel, adata: Any, expected: Any, *, prepared: bool = False, **options: Any) -> Any:
    """Return the model that was read, with cells as the user has them or, ``prepared``, as a model takes them."""
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
    try:
        found = class_of(saved.model_class)
    except TypeError as error:
        message = f"{saved.path}: {error}"
        raise TypeError(message) from None
    _require_class(saved.model_class, expected, saved.path)
    return found


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
