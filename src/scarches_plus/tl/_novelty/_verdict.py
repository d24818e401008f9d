"""Decide which cells are novel, by thresholds that were measured across studies.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Share of known cells called novel, mean over the judged scenarios of benchmarks/annotation/open_set.py, and the
#: novelty above which cells were called then.
_THRESHOLDS = {0.005: 1.24, 0.01: 1.06, 0.02: 0.85, 0.05: 0.56, 0.1: 0.37, 0.2: 0.22, 0.3: 0.14}
#: The same: share of known cells called in the scenarios with fewest and with most, 5 and 95 %.
_RANGES = {
    0.005: (0.0, 0.032), 0.01: (0.0, 0.062), 0.02: (0.0, 0.114), 0.05: (0.0, 0.258), 0.1: (0.0, 0.392),
    0.2: (0.0, 0.558), 0.3: (0.009, 0.649),
}  # fmt: skip
#: What was measured; nothing is known beyond.
ALPHAS = min(_THRESHOLDS), max(_THRESHOLDS)
#: Of 80 queries of one type 78 had less contrast, the other two 1.05 and 1.10; so had 23 of 439 others, of few cells,
#: few types or few genes.
LEAST_CONTRAST = 1.01
#: Agreement of matched clusters with their labels, in units of what the reference's batches reach with one another.
#: Between human and mouse 37 of 42 queries had less, otherwise 19 of 383, of few cells or most of them unseen.
LEAST_AGREEMENT = 0.75
#: Agreement, on the scale that novelty is measured on, that nothing exceeds.
_PERFECT = 1.15
#: Share of a label's cells, those that lack least agreement, that show the query's own shift.
_BEST = 0.3
#: A label with fewer cells shows nothing.
_LEAST = 5


def query_shift(missing: NDArray, label: NDArray) -> float:
    """Return how much agreement even the best cells of the query lack: the median over labels.

    Parameters
    ----------
    missing
        Agreement that each cell lacks, shape ``(n_cells,)``.
    label
        Label that explains it best, shape ``(n_cells,)``.
    """
    means = []
    for one in np.unique(label):
        values = np.sort(missing[label == one])
        if len(values) >= _LEAST:
            means.append(values[: max(_LEAST, int(_BEST * len(values)))].mean())
    return float(np.median(means)) if means else float(np.sort(missing)[:_LEAST].mean())


def novelty(missing: NDArray, shift: float, typical: float) -> NDArray[np.float64]:
    """Return the agreement that each cell lacks beyond the query's shift, in units of what its matches lack.

    Where known cells agree well, a small lack is already a sign of something new.

    Parameters
    ----------
    missing
        As in :func:`query_shift`.
    shift
        Its result.
    typical
        Median agreement of matched clusters with their labels.
    """
    return (missing - shift) / (_PERFECT - min(typical, 1.0))


def threshold(alpha: float) -> float:
    """Return the novelty above which this share of known cells was called novel, mean over scenarios."""
    return float(np.interp(np.log(alpha), np.log(list(_THRESHOLDS)), list(_THRESHOLDS.values())))


def false_calls(alpha: float) -> tuple[float, float]:
    """Return between which shares the known cells called novel lay in nine of ten scenarios."""
    low, high = zip(*_RANGES.values(), strict=True)
    return tuple(float(np.interp(np.log(alpha), np.log(list(_RANGES)), one)) for one in (low, high))  # type: ignore[return-value]
