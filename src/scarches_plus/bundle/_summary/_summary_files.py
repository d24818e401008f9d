"""Write and read the file of a reference summary, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus._reference_summary import ReferenceSummary
from scarches_plus.bundle._format._folder import read_listed
from scarches_plus.bundle._format._state_tensors import pack_summaries
from scarches_plus.bundle._format._tensors import pack, unpack
from scarches_plus.bundle._manifest import FILES_OF_SCHEMA_1, MANIFEST, SUMMARY, BundleError

from ._classifier_tensors import pack_classifier, unpack_classifier
from ._map_tensors import pack_map, unpack_map
from ._profile_tensors import pack_profiles, unpack_profiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from scarches_plus.bundle._manifest import Manifest
    from scarches_plus.train import LatentSummary


def pack_summary(
    latent: Mapping[str, LatentSummary], summary: ReferenceSummary | None, var_names: Sequence[str]
) -> tuple[bytes | None, dict[str, Any]]:
    """Return the file of a summary, ``None`` if there is nothing in it, and its section.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    packed: dict[str, Any] = {"latent": pack_summaries(latent) if latent else ({}, {})}
    held = summary or ReferenceSummary()
    packed["profiles"] = ({}, None) if held.profiles is None else pack_profiles(held.profiles, var_names)
    packed["classifier"] = ({}, None) if held.classifier is None else pack_classifier(held.classifier)
    packed["map"] = ({}, None) if held.map is None else pack_map(held.map)
    tensors = {f"{field}/{name}": one for field, (some, _) in packed.items() for name, one in some.items()}
    return pack(tensors) if tensors else None, {field: section for field, (_, section) in packed.items()}


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


def read_field(folder: Path, manifest: Manifest, field: str) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of one field of the summary, and the file that they are in.

    Raises
    ------
    BundleError
        If the file is damaged, or holds tensors of no field that the manifest describes.
    """
    file = _file_of(manifest, field)
    name = str(folder / file)
    tensors = unpack(read_listed(folder, manifest, file), name)
    if file in FILES_OF_SCHEMA_1:
        return tensors, name
    described = {one for one, section in manifest.summary if section}
    if stray := sorted(one for one in tensors if one.partition("/")[0] not in described):
        message = f"{name} holds tensors that the manifest does not speak of: {stray[:5]}"
        raise BundleError(message)
    start = f"{field}/"
    return {one.removeprefix(start): value for one, value in tensors.items() if one.startswith(start)}, name


def read_summary(folder: Path, manifest: Manifest) -> ReferenceSummary:
    """Return the summary of a bundle, with the parts that it has; mixtures are read with the model.

    Raises
    ------
    BundleError
        If a part is not what the manifest says, or none can be like that.
    """
    require_summary_files(folder, manifest)
    held, genes = manifest.summary, manifest.cells.var_names
    parts: dict[str, Any] = {}
    if held.profiles is not None:
        tensors, name = read_field(folder, manifest, "profiles")
        parts["profiles"] = unpack_profiles(tensors, held.profiles, genes, name)
    if held.classifier is not None:
        tensors, name = read_field(folder, manifest, "classifier")
        parts["classifier"] = unpack_classifier(tensors, held.classifier, name)
    if held.map is not None:
        tensors, name = read_field(folder, manifest, "map")
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
