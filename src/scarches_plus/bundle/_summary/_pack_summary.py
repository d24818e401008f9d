"""Write the file of a reference summary, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus._reference_summary import ReferenceSummary
from scarches_plus.bundle._format._state_tensors import pack_summaries
from scarches_plus.bundle._format._tensors import pack

from ._classifier_tensors import pack_classifier
from ._map_tensors import pack_map
from ._profile_tensors import pack_profiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
