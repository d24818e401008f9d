"""Read the file of a reference summary, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus._reference_summary import ReferenceSummary
from scarches_plus.bundle._format._folder import read_listed
from scarches_plus.bundle._format._tensors import unpack
from scarches_plus.bundle._manifest import FILES_OF_SCHEMA_1, MANIFEST, SUMMARY, BundleError

from ._classifier_tensors import unpack_classifier
from ._map_tensors import unpack_map
from ._profile_tensors import unpack_profiles

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from scarches_plus.bundle._manifest import Manifest


def require_summary_files(folder: Path, manifest: Manifest) -> None:
    """Refuse a bundle whose manifest lists a file of the summary without describing it, or the other way round.

    Raises
    ------
    BundleError
        If it does.
    """
    described = {_file_of(manifest, field) for field, section in manifest.summary if section}
    listed = {SUMMARY, *FILES_OF_SCHEMA_1} & set(manifest.files)
    if described != listed:
        message = f"{folder / MANIFEST} lists {min(described ^ listed)} without describing it, or the other way round"
        raise BundleError(message)


def read_fields(folder: Path, manifest: Manifest, *fields: str) -> dict[str, tuple[dict[str, Tensor], str]]:
    """Return the tensors of some fields of the summary, those that the bundle has, and the file that each is in.

    Raises
    ------
    BundleError
        If a file is damaged, or holds tensors of no field that the manifest describes.
    """
    described = {one for one, section in manifest.summary if section}
    opened: dict[str, dict[str, Tensor]] = {}
    found = {}
    for field in [one for one in fields if one in described]:
        file = _file_of(manifest, field)
        name = str(folder / file)
        if file not in opened:
            opened[file] = unpack(read_listed(folder, manifest, file), name)
        tensors = opened[file]
        if file == SUMMARY:
            if stray := sorted(one for one in tensors if one.partition("/")[0] not in described):
                message = f"{name} holds tensors that the manifest does not speak of: {stray[:5]}"
                raise BundleError(message)
            start = f"{field}/"
            tensors = {one.removeprefix(start): value for one, value in tensors.items() if one.startswith(start)}
        found[field] = tensors, name
    return found


def read_summary(folder: Path, manifest: Manifest) -> ReferenceSummary:
    """Return the summary of a bundle, with the parts that it has; mixtures are read with the model.

    Raises
    ------
    BundleError
        If a part is not what the manifest says, or none can be like that.
    """
    require_summary_files(folder, manifest)
    held, found = manifest.summary, read_fields(folder, manifest, "profiles", "classifier", "map")
    parts: dict[str, Any] = {}
    if held.profiles is not None:
        tensors, name = found["profiles"]
        parts["profiles"] = unpack_profiles(tensors, held.profiles, manifest.cells.var_names, name)
    if held.classifier is not None:
        parts["classifier"] = unpack_classifier(found["classifier"][0], held.classifier, found["classifier"][1])
    if held.map is not None:
        tensors, name = found["map"]
        parts["map"] = unpack_map(tensors, held.map, name)
        if held.map.space and held.map.space != manifest.state.space:
            message = (
                f"{name}: the map is of the latent space {held.map.space}, and the model has {manifest.state.space}"
            )
            raise BundleError(message)
    return ReferenceSummary(**parts)


def _file_of(manifest: Manifest, field: str) -> str:
    former = {one: file for file, one in FILES_OF_SCHEMA_1.items()}.get(field)
    return former if former in manifest.files else SUMMARY
