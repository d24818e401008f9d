"""Load a model from an object, path, archive, hub name, DOI or address.

``sp.load``, ``sp.model.load`` and ``sp.hub.load`` are this function. What a name or address stands for is found by
``hub``; what lies at a path is read by ``bundle``; both are loaded when they are needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _arguments as check
from ._logging import libraries_quiet
from ._settings import accelerator_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from mudata import MuData

    from .model import SCANVI, SCVI, TOTALVI


def load(
    what: str | Path | SCVI | SCANVI | TOTALVI,
    adata: AnnData | MuData | None = None,
    *,
    prefix: str | None = None,
    trust_pickle: bool = False,
    accelerator: str = "auto",
    device: int | str = "auto",
    index: Sequence[str | Path] | str | Path = (),
    cache_dir: str | Path | None = None,
    allow_latest: bool = False,
    offline: bool = False,
    max_bytes: int = 2**33,
    progress: bool = True,
) -> SCVI | SCANVI | TOTALVI:
    """Open a model: an object, a folder, a file, an archive, the name of a model of a hub, a DOI or an address.

    Nothing that a file says is executed. What exists on disk is a path; what has a separator or the suffix of a file is
    never a name, so that a typo asks nobody.

    Parameters
    ----------
    what
        One of

        - a model of this package, which comes back as it is, or of scvi-tools, which is copied;
        - a bundle (:func:`scarches_plus.hub.save_bundle`);
        - a folder that ``save`` of this package or of scvi-tools 0.7 or later wrote, models of scvi-hub included, or
          its ``model.pt``;
        - a folder, a ``.zip`` or a ``.tar.gz`` with one of these somewhere in it;
        - ``"name"`` or ``"name@version"`` of a model that an index lists (:func:`scarches_plus.hub.list_models`);
        - the DOI or the address of a record of Zenodo, or ``"hf://owner/repository@revision"`` (Hugging Face).
    adata
        Cells the model was trained on; not changed. Without them the model can still map and embed queries. A model
        object that has none gets them.
    prefix
        What file names in a folder of scvi-tools begin with.
    trust_pickle
        Let scvi-tools open its file, which executes what it says. Only for files of people you trust.
    accelerator, device
        Where the model goes, as in scvi-tools.
    index, cache_dir, allow_latest, offline, max_bytes, progress
        As in :func:`scarches_plus.hub.pull`, for models that are not on disk.

    Returns
    -------
    SCVI, SCANVI or TOTALVI
        The model, in evaluation mode. Its latent space is the same however it was opened, unless plain scvi-tools
        trained it further: then it is a new one.

    Raises
    ------
    FileNotFoundError
        If there is nothing at a path, or no model in it; the message says what is there instead.
    KeyError
        If no index lists a model of the name, or it is not clear which version.
    OSError
        If a file cannot be read or fetched.
    ValueError
        If a file is damaged, holds something else, or asks for more than a model needs; if there are several models.
    TypeError
        If the model is of a class that this package does not support; the message names it.
    """
    if adata is not False:
        check.cells("adata", adata, mudata=True, or_none=True)
    check.texts_or_none(prefix=prefix)
    check.texts(accelerator=accelerator)
    check.flags(trust_pickle=trust_pickle, allow_latest=allow_latest, offline=offline, progress=progress)
    for one in check.names("index", [index] if isinstance(index, str | Path) else index, of=object):
        check.path("index", one)
    if cache_dir is not None:
        check.path("cache_dir", cache_dir)
    max_bytes = check.whole("max_bytes", max_bytes, least=1)
    if not isinstance(what, str | Path):
        if prefix is not None or trust_pickle or (accelerator, device) != ("auto", "auto"):
            message = (
                "prefix, trust_pickle, accelerator and device are for models on disk, and this is a model already: "
                "leave them out"
            )
            raise ValueError(message)
        from .model import as_own

        model = as_own(what)
        if adata is not None and adata is not False:
            if model.adata is not None:
                message = "the model has cells already: leave adata out, or open the model from disk with these"
                raise ValueError(message)
            model.take_cells(adata)
        return model
    return _open(
        what,
        False if adata is None else adata,
        {
            "index": index,
            "cache_dir": cache_dir,
            "allow_latest": allow_latest,
            "offline": offline,
            "max_bytes": max_bytes,
            "progress": progress,
        },
        prefix=prefix,
        trust_pickle=trust_pickle,
        accelerator=accelerator,
        device=device,
    )


def load_as(cls: Any, what: str | Path, adata: Any, **options: Any) -> Any:
    """Open a model of a certain class: what ``SCVI.load`` and its kin do.

    Parameters
    ----------
    cls
        The class.
    what
        What names the model, as in :func:`load`.
    adata
        Its cells; ``None`` for those that lie beside it, if it is on disk, ``False`` for none.
    **options
        Options of :func:`~scarches_plus.bundle.open_path`.
    """
    return _open(what, adata, {}, expected=cls, **options)


@libraries_quiet()
def _open(what: str | Path, adata: Any, where: Mapping[str, Any], **options: Any) -> Any:
    """Open what a name, address or path stands for; cells that lie beside a fetched model are not taken unasked."""
    from .bundle import open_path
    from .hub import local_path

    options["accelerator"] = accelerator_for(options.get("accelerator", "auto"))
    path = local_path(what, **where)
    fetched = path != check.path("what", what)
    return open_path(path, False if adata is None and fetched else adata, **options)


def registry_of(path: str | Path, prefix: str | None = None) -> dict[str, Any]:
    """Return scvi-tools' registry of a saved model of any layout, whatever names it."""
    from .bundle import read_registry
    from .hub import local_path

    return read_registry(local_path(path), prefix)
