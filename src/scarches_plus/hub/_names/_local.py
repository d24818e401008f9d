"""Find a model on this machine by path, or fetch it by name, DOI or address."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._http import is_address
from scarches_plus.bundle import MODEL_FILE
from scarches_plus.hub._pull import pull

from ._doi import doi_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def local_path(
    what: str | os.PathLike[str],
    *,
    index: Sequence[str | Path] | str | Path = (),
    cache_dir: str | Path | None = None,
    allow_latest: bool = False,
    offline: bool = False,
    max_bytes: int = 2**33,
    progress: bool = True,
    with_cells: bool = False,
) -> Path:
    """Return the path of a model: one that is there, or what :func:`pull` fetched.

    Parameters
    ----------
    what
        A file or folder; or, as text, what :func:`pull` takes. What is there is a path. What has a separator or the
        suffix of a file is never a name; a path that is not there is asked for nowhere.
    index, cache_dir, allow_latest, offline, max_bytes, progress, with_cells
        As in :func:`pull`.

    Returns
    -------
    pathlib.Path
        Folder or file; not to be changed if it was fetched.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, naming the nearest in its folder.
    KeyError, ValueError, OSError, BundleError, TypeError
        As :func:`pull`.
    """
    path = check.path("what", what)
    check.flags(allow_latest=allow_latest, offline=offline, progress=progress, with_cells=with_cells)
    if not (isinstance(what, str) and is_address(what)):
        # a path may end in what names of files begin with; no error for a name that is too long
        if any(os.path.exists(one) for one in (path, f"{path}{MODEL_FILE}")):  # noqa: PTH110
            return path
        if not isinstance(what, str) or (not doi_of(what) and is_path(what)):
            message = f"there is no file or folder {str(path)!r}{_nearest(path)}"
            raise FileNotFoundError(message)
    try:
        return pull(
            what, index=index, cache_dir=cache_dir, allow_latest=allow_latest, offline=offline,
            max_bytes=max_bytes, progress=progress, with_cells=with_cells,
        )  # fmt: skip
    except KeyError as error:
        if is_address(what) or doi_of(what):
            raise
        message = f"{error.args[0]}; nor is there a file or folder {what!r}"
        raise KeyError(message) from error


def is_path(text: str) -> bool:
    """Return whether text has a separator, or the suffix of a file; the number of a version is none."""
    suffix = os.path.splitext(text.partition("@")[0])[1]  # noqa: PTH122 (also of ".h5ad")
    return any(one in text for one in "/\\") or (len(suffix) > 1 and not suffix[1].isdigit())


def _nearest(path: Path) -> str:
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 (names)
    except OSError:
        return f", nor a folder {str(path.parent)!r}"
    return check.nearest(path.name, names)
