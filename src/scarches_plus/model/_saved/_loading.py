"""Load saved models without executing what their files say.

scvi-tools unpickles a file, which runs whatever it names. Here a file is read as plain values, held against the weights, and
written anew into a private folder, which is what scvi-tools opens.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import scvi.model.base
import torch
from scvi.data import AnnDataManager

from scarches_plus import _arguments as check
from scarches_plus._files import read_folder
from scarches_plus._logging import logger
from scarches_plus._pickles import read_former_folder
from scarches_plus.model._spec import require_model, use_text_categories
from scarches_plus.model._state import restore_state

from ._clean_folder import write_clean_folder, write_clean_former_folder
from ._saved_model import locate, model_name, read_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from mudata import MuData

    from ._saved_model import SavedModel


class LoadingMixin:
    """Adds ``load`` and the other methods of scvi-tools that open files; nothing in the files is executed."""

    @classmethod
    def load(
        cls,
        dir_path: str | Path,
        adata: Any = None,
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
        *,
        trust_pickle: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load a saved model, of this package or of scvi-tools, without executing what its file says.

        Parameters
        ----------
        dir_path
            Folder that ``save`` wrote, or its ``model.pt``.
        adata
            The cells the model was trained on: of a mapped model the query as it was mapped, with genes in any order and
            labels that the reference need not know. They are not changed. ``None`` takes those saved with the model, if any;
            ``False`` loads without cells, which is enough to map a query.
        accelerator, device
            As in scvi-tools.
        prefix
            What file names in the folder begin with.
        trust_pickle
            Let scvi-tools open the file, which executes what it says. Only for files of people you trust.
        **kwargs
            Passed to the ``load`` of scvi-tools, if ``trust_pickle`` is set; else there are no others.

        Raises
        ------
        FileNotFoundError
            If there is no such folder or no model in it; the message says what is there instead.
        ValueError
            If the file is damaged, holds something else, or asks for more than a model needs; if the cells are others: of
            batches that the model does not know, or without genes that it was trained on.
        TypeError
            If the model is of a class that this package does not support.
        """
        check.path("dir_path", dir_path)
        check.texts_or_none(prefix=prefix)
        check.flags(trust_pickle=trust_pickle)
        if adata is not False:
            check.cells("adata", adata, mudata=True, or_none=True)
        if trust_pickle:
            folder, prefix = locate(dir_path, prefix)
            options = {"accelerator": accelerator, "device": device, "prefix": prefix, **kwargs}
            return cls._load_with_cells(folder, adata, **options)
        if kwargs:
            message = f"{cls.__name__}.load takes {', '.join(kwargs)} only with trust_pickle=True"
            raise TypeError(message)
        saved, cells = read_saved(dir_path, prefix, with_cells=adata is None)
        options = {"accelerator": accelerator, "device": device}
        return cls._of_saved(saved, adata if cells is None else cells, prepared=cells is not None, **options)

    @classmethod
    def _of_saved(cls, saved: SavedModel, adata: Any, *, prepared: bool = False, **options: Any) -> Any:
        """Return the model that was read, with cells as the user has them or, ``prepared``, as a model takes them."""
        from ._scvi_folder import complete, with_path  # which knows all classes

        name = model_name(saved)
        if name != cls.__name__:
            message = f"{saved.path} holds a {name} and no {cls.__name__}; sp.model.load opens models of any class"
            raise ValueError(message)
        if saved.refused:
            logger.info(f"{saved.path}: left out {sorted(saved.refused)}, which are no plain values")
        with TemporaryDirectory() as folder:
            write_clean_folder(complete(saved), Path(folder))

            def load() -> Any:
                take = cls._load_trusted if prepared else cls._load_with_cells
                with _private_folder_unsaid():
                    return take(Path(folder), adata, **options)

            return with_path(saved, load, "cannot be opened") if adata is None or adata is False else load()

    @classmethod
    def _load_with_cells(cls, folder: Path, adata: Any, **options: Any) -> Any:
        """Let scvi-tools open a folder, and give the model its cells."""
        from ._own_cells import is_minified, take_cells

        if adata is None or adata is False or is_minified(adata):
            return cls._load_trusted(folder, adata, **options)
        model = cls._load_trusted(folder, False, **options)  # noqa: FBT003
        take_cells(model, adata)
        return model

    @classmethod
    def _load_trusted(cls, folder: Path, adata: Any, **options: Any) -> Any:
        """Let scvi-tools open a folder."""
        with torch.random.fork_rng(devices=[]):  # a fresh network is drawn, only to be overwritten
            model = super().load(str(folder), adata, **options)  # type: ignore[misc]
        if model.adata is None:
            use_text_categories(model)
        restore_state(model)
        return model

    @staticmethod
    def load_registry(dir_path: str | Path, prefix: str | None = None) -> dict[str, Any]:
        """Return the registry of a saved model, without executing what its file says.

        Parameters
        ----------
        dir_path, prefix
            As in :meth:`load`.
        """
        check.path("dir_path", dir_path)
        check.texts_or_none(prefix=prefix)
        saved, _ = read_saved(dir_path, prefix)
        return saved.attribute("registry_")  # type: ignore[no-any-return]

    @staticmethod
    def view_setup_args(dir_path: str | Path, prefix: str | None = None) -> None:
        """Print what the cells of a saved model were set up with.

        Parameters
        ----------
        dir_path, prefix
            As in :meth:`load`.
        """
        AnnDataManager.view_setup_method_args(LoadingMixin.load_registry(dir_path, prefix))

    @classmethod
    def convert_legacy_save(
        cls,
        dir_path: str | Path,
        output_dir_path: str | Path,
        overwrite: bool = False,  # noqa: FBT001, FBT002 (scvi-tools' signature)
        prefix: str | None = None,
        **save_kwargs: Any,
    ) -> None:
        """Convert a folder of scvi-tools before 0.15, without executing what its files say.

        Parameters
        ----------
        dir_path, output_dir_path, overwrite, prefix, **save_kwargs
            As in scvi-tools.
        """
        output_dir_path = check.path("output_dir_path", output_dir_path)
        check.flags(overwrite=overwrite)
        check.texts_or_none(prefix=prefix)
        former = read_former_folder(check.path("dir_path", dir_path), prefix or "")
        with TemporaryDirectory() as folder:
            write_clean_former_folder(former, Path(folder), prefix or "")
            super().convert_legacy_save(folder, str(output_dir_path), overwrite, prefix, **save_kwargs)  # type: ignore[misc]

    @staticmethod
    def prepare_query_anndata(adata: AnnData, reference_model: Any, *args: Any, **kwargs: Any) -> Any:
        """Put the genes of a query in a reference's order, as scvi-tools does.

        Parameters
        ----------
        adata
            Query cells.
        reference_model
            Model, or what :func:`scarches_plus.model.load` opens.
        *args, **kwargs
            As in scvi-tools.
        """
        check.cells("adata", adata)
        return scvi.model.base.ArchesMixin.prepare_query_anndata(adata, _opened(reference_model), *args, **kwargs)

    @staticmethod
    def prepare_query_mudata(mdata: MuData, reference_model: Any, *args: Any, **kwargs: Any) -> Any:
        """Put the genes and proteins of a query in a reference's order, as scvi-tools does.

        Parameters
        ----------
        mdata
            Query cells.
        reference_model
            Model, or what :func:`scarches_plus.model.load` opens.
        *args, **kwargs
            As in scvi-tools.
        """
        check.cells("mdata", mdata, mudata=True)
        return scvi.model.base.ArchesMixin.prepare_query_mudata(mdata, _opened(reference_model), *args, **kwargs)


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


def read_saved(
    source: str | Path, prefix: str | None = None, *, with_cells: bool = False
) -> tuple[SavedModel, AnnData | MuData | None]:
    """Read a model, and cells that were saved with it, from one and the same folder, also if it is replaced meanwhile.

    Parameters
    ----------
    source, prefix
        As in :func:`~scarches_plus.model._saved._saved_model.locate`.
    with_cells
        Read ``adata.h5ad`` or ``mdata.h5mu`` as well.

    Returns
    -------
    The model, and the cells or ``None``.
    """
    folder, prefix = locate(source, prefix)

    def read(there: Path) -> tuple[SavedModel, Any]:
        saved = read_model(there, prefix)
        return saved, _saved_cells(there, prefix, saved) if with_cells else None

    return read_folder(folder, read)


def _saved_cells(folder: Path, prefix: str, saved: SavedModel) -> Any:
    """Return the cells beside a model, ``None`` if there are none."""
    from scarches_plus._hdf5 import read_checked

    if saved.attribute("registry_").get("setup_method_name") == "setup_mudata":
        from mudata import read_h5mu

        path, read = folder / f"{prefix}mdata.h5mu", read_h5mu
    else:
        from anndata import read_h5ad

        path, read = folder / f"{prefix}adata.h5ad", read_h5ad
    return read_checked(path, read) if path.exists() else None


def _opened(model: Any) -> Any:
    from scarches_plus.model._load import load  # which knows all classes

    if isinstance(model, str | Path):
        return load(model)
    require_model("reference_model", model)
    return model
