"""Check that no summary, profile or classifier in a bundle describes fewer than 20 cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._label_profiles import FEWEST_CELLS
from scarches_plus.bundle._manifest import CLASSIFIER, PROFILES, SUMMARIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scarches_plus._expression_classifier import ExpressionClassifier
    from scarches_plus._label_profiles import LabelProfiles
    from scarches_plus.train import LatentSummary

#: Cells of a component are a sum of shares in single precision.
_ROUNDING = 1e-3


def require_enough_cells(
    summaries: Mapping[str, LatentSummary], profiles: LabelProfiles | None, classifier: ExpressionClassifier | None
) -> None:
    """Refuse components of a summary, and labels of profiles or a classifier, of fewer than 20 cells.

    Raises
    ------
    ValueError
        If there is one; the message names the file, the label and the fix.
    """
    for key, one in summaries.items():
        few = one.n_cells < FEWEST_CELLS - _ROUNDING
        if bool(few.any()):
            labels = sorted({one.labels[code] for code in one.of_label[few].tolist()})
            fix = (
                f"sp.train.summarize_reference(model, {key!r}, min_cells={FEWEST_CELLS}), or save it with summary=False"
            )
            _refuse(f"{SUMMARIES}: components of {labels} in {key!r}", fix)
    rare: dict[str, list[str]] = {"label_profiles": [], "expression_classifier": []}
    if profiles is not None:
        rare["label_profiles"] = sorted(
            {profiles.labels[one] for one in profiles.of_label[profiles.n_cells < FEWEST_CELLS]}
        )
    if classifier is not None:
        sizes = zip(classifier.labels, classifier.n_cells, strict=True)
        rare["expression_classifier"] = [label for label, n in sizes if n < FEWEST_CELLS]
    for verb, labels in rare.items():
        if labels:
            file = PROFILES if verb == "label_profiles" else CLASSIFIER
            _refuse(f"{file}: {labels}", f"sp.tl.{verb}(..., min_cells={FEWEST_CELLS})")


def _refuse(what: str, fix: str) -> None:
    message = f"{what} have fewer than {FEWEST_CELLS} cells, too few for a bundle; make it again by {fix}"
    raise ValueError(message)
