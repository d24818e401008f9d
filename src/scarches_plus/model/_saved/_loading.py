"""Load saved models without unpickling their files.

scvi-tools unpickles a file, which runs whatever it names. Here a file is read as plain values, held against the
weights, and written anew into a private folder, which is what scvi-tools opens.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import scvi.model.base
import torch
from scvi.data import AnnDataManager

from scarches_plus import _arguments as check
from scarches_plus._load import load, load_as, registry_of
from scarches_plus._logging import libraries_quiet
from scarches_plus.model._registration._registry import require_model, use_text_categories
from scarches_plus.model._state import restore_state

from ._own_cells import is_minified, take_cells, with_names_of_today

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


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
            The cells the model was trained on: of a mapped model the query as it was mapped, with genes in any order
            and labels that the reference need not know. They are not changed. ``None`` takes those saved with the
            model, if any; ``False`` loads without cells, which is enough to map a query.
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
            If the file is damaged, holds something else, or asks for more than a model needs; if the cells are others:
            of batches that the model does not know, or without genes that it was trained on.
        TypeError
            If the model is of a class that this package does not support.
        """
        check.path("dir_path", dir_path)
        check.texts_or_none(prefix=prefix)
        check.flags(trust_pickle=trust_pickle)
        if adata is not False:
            check.cells("adata", adata, mudata=True, or_none=True)
        if kwargs and not trust_pickle:
            message = f"{cls.__name__}.load takes {', '.join(kwargs)} only with trust_pickle=True"
            raise TypeError(message)
        options = {"accelerator": accelerator, "device": device, **kwargs}
        return load_as(cls, dir_path, adata, prefix=prefix, trust_pickle=trust_pickle, **options)

    @libraries_quiet()
    def take_cells(self, adata: AnnData | MuData) -> None:
        """Give a model that was opened without cells those that it was trained on.

        Parameters
        ----------
        adata
            The cells, with genes in any order; not changed. Labels that the model does not know count as none.

        Raises
        ------
        ValueError
            If these are other cells: of batches or categories that the model does not know, or without genes that it
            measured.
        KeyError
            If a column or layer is missing.
        """
        check.cells("adata", adata, mudata=True)
        take_cells(self, adata)

    @classmethod
    def _load_with_cells(cls, folder: Path, adata: Any, **options: Any) -> Any:
        """Let scvi-tools open a folder, and give the model its cells."""
        if adata is None or adata is False:
            return cls._load_trusted(folder, adata, **options)
        if is_minified(adata):
            return cls._load_trusted(folder, with_names_of_today(adata), **options)
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
        return registry_of(dir_path, prefix)

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
        model = cls.load(check.path("dir_path", dir_path), False, prefix=prefix)  # noqa: FBT003
        model.save(output_dir_path, prefix, overwrite, **save_kwargs)

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


def _opened(model: Any) -> Any:
    if isinstance(model, str | Path):
        return load(model)
    require_model("reference_model", model)
    return model
