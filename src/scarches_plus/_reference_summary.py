"""Hold a reference summary: what a reference says without its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ._expression_classifier import ExpressionClassifier
    from ._label_profiles import LabelProfiles


@dataclass(frozen=True, eq=False)
class ReferenceSummary:
    """What a reference says without its cells: one object for labels and novelty, to travel in a bundle.

    The mixtures of a model's latent space (:func:`scarches_plus.train.summarize_reference`) lie beside these in the
    bundle, and load with the model.

    Attributes
    ----------
    profiles
        What the labels look like in counts, for :func:`scarches_plus.tl.detect_novel`; ``None`` if not kept.
    classifier
        What tells the labels apart by expression, for :func:`scarches_plus.tl.annotate` and, beside the vote,
        :func:`scarches_plus.tl.transfer_labels`; ``None`` if not kept.
    """

    profiles: LabelProfiles | None = None
    classifier: ExpressionClassifier | None = None


def part_of(reference: Any, part: Literal["profiles", "classifier"]) -> Any:
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
            "sp.tl.reference_summary(reference, labels_key, batch_key)"
        )
        raise ValueError(message)
    return found
