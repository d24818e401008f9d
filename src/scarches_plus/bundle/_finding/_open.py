"""Open the model at a path, in any layout, without executing its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scarches_plus._arguments import at_home
from scarches_plus._files import read_folder

from ._find import BUNDLE, FORMER, SCVI_TOOLS
from ._locate import located


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
    from scarches_plus.bundle._layouts import _build_model as build

    with located(at_home(path), prefix, with_cells=adata is None) as (folder, place):
        adata = False if adata is None and place.file else adata  # cells beside a file of another name are not its own
        further = sorted(set(options) - {"accelerator", "device"})
        if further and place.layout != SCVI_TOOLS:
            message = f"{folder / place.name} takes no {', '.join(further)}: scvi-tools does not open it"
            raise TypeError(message)
        if place.layout == BUNDLE:
            return build.from_bundle(folder, adata, expected, options)
        if trust_pickle and place.layout != FORMER:
            return build.from_pickle(folder, place, adata, expected, **options)
        saved, cells = read_folder(folder, lambda there: build.read_saved(there, place, with_cells=adata is None))
        return build.from_saved(
            saved, adata if cells is None else cells, expected, prepared=cells is not None, **options
        )


def model_of(source: Any) -> Any:
    """Return a model of this package: the same one, a copy of one of scvi-tools, or the one at a path."""
    if isinstance(source, str | Path):
        return open_path(source)
    from scarches_plus.model import as_own

    return as_own(source)


def read_registry(path: str | Path, prefix: str | None = None) -> dict[str, Any]:
    """Return scvi-tools' registry of the model at a path.

    Raises
    ------
    ValueError
        If there is a bundle, which has none; else as :func:`open_path`.
    """
    from scarches_plus.bundle._layouts._build_model import read_saved

    with located(at_home(path), prefix) as (folder, place):
        if place.layout == BUNDLE:
            message = (
                f"{folder} is a bundle, which holds no registry of scvi-tools: sp.load(path).registry_ is that of its "
                "model"
            )
            raise ValueError(message)
        saved, _ = read_folder(folder, lambda there: read_saved(there, place, with_cells=False))
        return saved.attribute("registry_")  # type: ignore[no-any-return]
