"""Saving that never destroys a saved model, and loading that remembers."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from scarches_plus import _arguments as check

from ._spec import use_text_categories
from ._state import refresh_state, restore_state

if TYPE_CHECKING:
    from anndata import AnnData

#: Cells that scvi-tools saves beside a model and loads with it.
_CELL_FILES = ("adata.h5ad", "mdata.h5mu")


class SavingMixin:
    """``save`` and ``load`` of scvi-tools."""

    def save(
        self,
        dir_path: str | Path,
        prefix: str | None = None,
        overwrite: bool = False,  # noqa: FBT001, FBT002 (scvi-tools' signature)
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Save the model; a folder that is there already changes only once everything is written.

        Parameters
        ----------
        dir_path
            Folder to write.
        prefix
            What file names begin with.
        overwrite
            Replace a model that is there, and cells that were saved with it.
        *args, **kwargs
            Passed to the ``save`` of scvi-tools.

        Raises
        ------
        FileExistsError
            If the folder exists and ``overwrite`` is not set.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.
        """
        folder = check.path("dir_path", dir_path)
        check.texts_or_none(prefix=prefix)
        check.flags(overwrite=overwrite)
        if folder.exists() and not overwrite:
            message = f"{folder} exists; choose another folder or pass overwrite=True"
            raise FileExistsError(message)
        refresh_state(self)  # type: ignore[arg-type]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            super().save(temporary, prefix, True, *args, **kwargs)  # type: ignore[misc] # noqa: FBT003
            folder.mkdir(exist_ok=True)
            written = {file.name for file in Path(temporary).iterdir()}
            for stale in {f"{prefix or ''}{name}" for name in _CELL_FILES} - written:
                (folder / stale).unlink(missing_ok=True)
            for name in written:
                (Path(temporary) / name).replace(folder / name)

    @classmethod
    def load(cls, dir_path: str | Path, adata: AnnData | None = None, *args: Any, **kwargs: Any) -> Any:
        """Load a saved model, of this package or of scvi-tools.

        Parameters
        ----------
        dir_path
            Folder that ``save`` wrote. It holds a pickle: load only what you trust.
        adata
            The cells the model was trained on. ``None`` takes those saved with the model; ``False`` loads without
            cells, which is enough to map a query.
        *args, **kwargs
            Passed to the ``load`` of scvi-tools.
        """
        check.path("dir_path", dir_path)
        if adata is not False:
            check.cells("adata", adata, mudata=True, or_none=True)
        with torch.random.fork_rng(devices=[]):  # a fresh network is drawn, only to be overwritten
            model = super().load(str(dir_path), adata, *args, **kwargs)  # type: ignore[misc]
        if model.adata is None:
            use_text_categories(model)
        restore_state(model)
        return model
