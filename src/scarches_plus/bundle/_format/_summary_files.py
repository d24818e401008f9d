"""Write and read the file of a reference summary, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus._reference_summary import ReferenceSummary
from scarches_plus.bundle._manifest import FILES_OF_SCHEMA_1, MANIFEST, SUMMARY, BundleError

from ._classifier_tensors import pack_classifier, unpack_classifier
from ._folder import read_listed
from ._profile_tensors import pack_profiles, unpack_profiles
from ._state_tensors import pack_summaries
from ._tensors import pack, unpack

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
    profiles, classifier = (summary.profiles, summary.classifier) if summary else (None, None)
    packed["profiles"] = ({}, None) if profiles is None else pack_profiles(profiles, var_names)
    packed["classifier"] = ({}, None) if classifier is None else pack_classifier(classifier)
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
    parts: dict[str, Any] = {}
    for part, unpack_part in (("profiles", unpack_profiles), ("classifier", unpack_classifier)):
        section = getattr(manifest.summary, part)
        if section is not None:
            tensors, name = read_field(folder, manifest, part)
            parts[part] = unpack_part(tensors, section, manifest.cells.var_names, name)  # type: ignore[operator]
    return ReferenceSummary(**parts)


def _file_of(manifest: Manifest, field: str) -> str:
    former = {one: file for file, one in FILES_OF_SCHEMA_1.items()}.get(field)
    return former if former in manifest.files else SUMMARY
