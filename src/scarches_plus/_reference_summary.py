"""Hold a reference summary: what a reference says without its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ._reference_map import ReferenceMap, require_map

if TYPE_CHECKING:
    from ._expression_classifier import ExpressionClassifier
    from ._label_profiles import LabelProfiles


@dataclass(frozen=True, eq=False)
class ReferenceSummary:
    """Summary of a reference without its cells: for labels, novelty and the map, to travel in a bundle.

    The mixtures of a model's latent space (:func:`scarches_plus.train.summarize_reference`) lie beside these in the
    bundle, and load with the model.

    Attributes
    ----------
    profiles
        What the labels look like in counts, for :func:`scarches_plus.tl.detect_novel`; ``None`` if not kept.
    classifier
        What tells the labels apart by expression, for :func:`scarches_plus.tl.annotate` and, beside the vote,
        :func:`scarches_plus.tl.transfer_labels`; ``None`` if not kept.
    map
        Fixed picture of the reference, for :func:`scarches_plus.tl.place`, :func:`scarches_plus.tl.presence` and
        :func:`scarches_plus.pl.reference_map`; ``None`` if not kept. In a bundle its points are anchors, of 20 cells
        and more each.
    """

    profiles: LabelProfiles | None = None
    classifier: ExpressionClassifier | None = None
    map: ReferenceMap | None = None


def part_of(reference: Any, part: Literal["profiles", "classifier", "map"]) -> Any:
    """Return a part of a summary; what is no summary is returned as it is.

    Raises
    ------
    ValueError
        If the summary was made without it.
    """
    if not isinstance(reference, ReferenceSummary):
        return reference
    found = getattr(reference, part)
    if found is None:
        message = (
            f"the reference summary holds no {part}: where the reference's cells are, make one that does, "
            f"sp.tl.reference_summary(reference, labels_key, batch_key{', use_rep=...' if part == 'map' else ''})"
        )
        raise ValueError(message)
    return found


def map_of(name: str, value: Any) -> ReferenceMap:
    """Return a map, or that of a summary.

    Raises
    ------
    TypeError
        If it is neither; ``name`` is that of the argument.
    ValueError
        If the summary has none.
    """
    found = part_of(value, "map")
    require_map(name, found)
    return found  # type: ignore[no-any-return]
