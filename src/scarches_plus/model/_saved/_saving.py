"""Save models atomically, replacing a saved model only by a whole one."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus._cells import CountsOnDisk
from scarches_plus._files import check_output_folder, write_folder
from scarches_plus.model._state import refresh_state

if TYPE_CHECKING:
    from anndata import AnnData

#: Cells that scvi-tools saves beside a model and loads with it.
_CELL_FILES = ("adata.h5ad", "mdata.h5mu")
_MODEL_FILE = "model.pt"


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
        """Save the model; a folder that is there already is replaced in one step, once everything is written.

        Parameters
        ----------
        dir_path
            Folder to write.
        prefix
            What file names begin with.
        overwrite
            Replace a model that is there, and cells that were saved with it. Other files in the folder stay.
        *args, **kwargs
            Passed to the ``save`` of scvi-tools.

        Raises
        ------
        FileExistsError
            If the folder exists and ``overwrite`` is not set, or it is a link, a file, a bundle, or the folder you work
            in.
        OSError
            If it cannot be written. What fails only in the end is kept elsewhere, and the message says where.
        ValueError
            If cells are to be saved and the model holds none, or the prefix is no part of a file name.
        TypeError
            If an argument is of another kind, such as a text where a path is meant.
        """
        check.path("dir_path", dir_path)
        check.texts_or_none(prefix=prefix)
        check.flags(overwrite=overwrite, save_anndata=kwargs.get("save_anndata", False))
        if prefix and Path(prefix).name != prefix:
            message = (
                f"prefix={prefix!r} is what names of files begin with, and cannot hold a folder; pass it in dir_path"
            )
            raise ValueError(message)
        parent = super().save  # type: ignore[misc]
        given = signature(parent).bind(str(dir_path), prefix, overwrite, *args, **kwargs).arguments
        cells = self.adata if given.get("save_anndata") else None  # type: ignore[attr-defined]
        if given.get("save_anndata") and cells is None:
            message = "the model holds no cells to save: leave out save_anndata, or load it with its cells"
            raise ValueError(message)
        if isinstance(getattr(cells, "X", None), CountsOnDisk):
            message = (
                "the counts of the model's cells lie in a file and are not written a second time: save without "
                "save_anndata, and open the model with these cells, sp.load(path, adata=sp.pp.open_cells(file))"
            )
            raise ValueError(message)
        folder = check_output_folder(dir_path, overwrite=overwrite, n_bytes=_size_of(self, cells), foreign=_bundle)
        refresh_state(self)  # type: ignore[arg-type]
        own = {f"{prefix or ''}{name}" for name in (_MODEL_FILE, *_CELL_FILES)}
        write_folder(
            folder,
            lambda place: parent(str(place), prefix, True, *args, **kwargs),  # noqa: FBT003
            overwrite=overwrite,
            foreign=_bundle,
            replaced=own.__contains__,
        )


def _bundle(folder: Path) -> str | None:
    """Return why a bundle is not replaced: files that its manifest does not list would spoil it."""
    there = all((folder / name).is_file() for name in ("manifest.json", "SHA256SUMS"))
    return "it is a bundle, which a model among its files would spoil" if there else None


def _size_of(model: Any, cells: AnnData | None) -> int:
    """Return how many bytes a model and cells take, roughly."""
    weights = sum(one.numel() * one.element_size() for one in model.module.state_dict().values())
    return weights + (
        0 if cells is None else sum(one.__sizeof__() for one in getattr(cells, "mod", {"": cells}).values())
    )
