"""Open a model by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._load_bundle import load_bundle
from ._pull import pull

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scarches_plus.model import SCANVI, SCVI, TOTALVI


def load(
    name: str,
    *,
    index: Sequence[str | Path] | str | Path = (),
    cache_dir: str | Path | None = None,
    allow_latest: bool = False,
    offline: bool = False,
) -> SCVI | SCANVI | TOTALVI:
    """Open a model by its name or address: :func:`pull`, then :func:`load_bundle`.

    Parameters
    ----------
    name
        As in :func:`pull`.
    index, cache_dir, allow_latest, offline
        As in :func:`pull`.

    Returns
    -------
    The model, without cells.

    Raises
    ------
    KeyError
        If no index lists the model, or it is not clear which version.
    ValueError
        If it is not clear which file of a record is the model.
    OSError
        If a file cannot be fetched.
    BundleError
        If anything is damaged, or not what it says.
    """
    return load_bundle(pull(name, index=index, cache_dir=cache_dir, allow_latest=allow_latest, offline=offline))
