"""Load the label profiles of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._finding._read_part import read_part

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus._label_profiles import LabelProfiles

_LACKING = (
    "no label profiles: the bundle was saved without any. Where the reference's cells are: sp.hub.save_bundle(model, "
    "path, profiles=sp.tl.label_profiles(reference, labels_key, batch_key))"
)


def load_profiles(path: str | Path) -> LabelProfiles:
    """Return the label profiles that a bundle carries, by which novel cells are found without any reference cell.

    Parameters
    ----------
    path
        Folder or archive with the bundle, as :func:`pull` returns it for a model by name.

    Returns
    -------
    LabelProfiles
        What :func:`scarches_plus.tl.detect_novel` takes in the place of the reference.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If the bundle carries no profiles, or anything is damaged.
    """
    return read_part(path, "profiles", _LACKING)  # type: ignore[no-any-return]
