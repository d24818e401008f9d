"""Saving that never destroys a saved model."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ._state import refresh_state

#: Cells that scvi-tools saves beside a model and loads with it.
_CELL_FILES = ("adata.h5ad", "mdata.h5mu")


class SavingMixin:
    """``save`` of scvi-tools."""

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
        """
        folder = Path(dir_path)
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
