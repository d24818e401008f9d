"""Check that no part of the summary in a bundle describes fewer than 20 cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus._label_profiles import FEWEST_CELLS
from scarches_plus.bundle._manifest import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scarches_plus._reference_summary import ReferenceSummary
    from scarches_plus.train import LatentSummary

#: Cells of a component are a sum of shares in single precision.
_ROUNDING = 1e-3


def require_enough_cells(latent: Mapping[str, LatentSummary], summary: ReferenceSummary | None) -> None:
    """Refuse components of a mixture, and labels of profiles or a classifier, of fewer than 20 cells.

    Raises
    ------
    ValueError
        If there is one; the message names the file, the label and the fix.
    """
    for key, one in latent.items():
        few = one.n_cells < FEWEST_CELLS - _ROUNDING
        if bool(few.any()):
            labels = sorted({one.labels[code] for code in one.of_label[few].tolist()})
            fix = (
                f"sp.train.summarize_reference(model, {key!r}, min_cells={FEWEST_CELLS}), or save it with summary=False"
            )
            _refuse(f"{SUMMARY}: components of {labels} in {key!r}", fix)
    profiles, classifier = (summary.profiles, summary.classifier) if summary else (None, None)
    rare: dict[str, list[str]] = {}
    if profiles is not None:
        rare["profiles"] = sorted({profiles.labels[one] for one in profiles.of_label[profiles.n_cells < FEWEST_CELLS]})
    if classifier is not None:
        sizes = zip(classifier.labels, classifier.n_cells, strict=True)
        rare["classifier"] = [label for label, n in sizes if n < FEWEST_CELLS]
    if summary is not None and summary.map is not None:
        few_cells = summary.map.n_cells < FEWEST_CELLS
        named = np.append(summary.map.labels, "no label")
        rare["map"] = sorted(set(named[summary.map.of_label[few_cells]].tolist()))
    for part, labels in rare.items():
        if labels:
            _refuse(f"{SUMMARY}: {part} of {labels}", f"sp.tl.reference_summary(..., min_cells={FEWEST_CELLS})")


def _refuse(what: str, fix: str) -> None:
    message = f"{what} have fewer than {FEWEST_CELLS} cells, too few for a bundle; make it again by {fix}"
    raise ValueError(message)
