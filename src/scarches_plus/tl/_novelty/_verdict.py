"""Decide which cells are novel, by thresholds that were measured across studies.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Share of known cells called novel, mean over the judged scenarios of benchmarks/annotation/open_set.py; the novelty
#: above which cells were called then; and the share of known cells called in the scenarios with fewest and with most, 5
#: and 95 %. References of several batches: 285 scenarios of 16 tasks.
_SEVERAL_BATCHES = {
    0.005: (1.13, 0.0, 0.036), 0.01: (0.92, 0.0, 0.058), 0.02: (0.66, 0.0, 0.113), 0.05: (0.43, 0.0, 0.196),
    0.1: (0.30, 0.0, 0.325), 0.2: (0.18, 0.0, 0.515), 0.3: (0.12, 0.03, 0.592),
}  # fmt: skip
#: References of one batch, which say nothing about batches: 82 scenarios of four tasks.
_ONE_BATCH = {
    0.005: (1.42, 0.0, 0.05), 0.01: (1.22, 0.0, 0.1), 0.02: (1.0, 0.0, 0.131), 0.05: (0.72, 0.0, 0.185),
    0.1: (0.53, 0.0, 0.294), 0.2: (0.32, 0.0, 0.491), 0.3: (0.22, 0.035, 0.605),
}  # fmt: skip
#: What was measured; nothing is known beyond.
ALPHAS = min(_ONE_BATCH), max(_ONE_BATCH)
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


def threshold(alpha: float, *, one_batch: bool) -> tuple[float, float, float]:
    """Return the novelty above which this share of known cells was called novel, and the range of the share.

    Parameters
    ----------
    alpha
        Share, mean over scenarios.
    one_batch
        Whether no label of the reference is in two batches.

    Returns
    -------
    tuple of float
        The novelty, and between which shares the known cells called lay in nine of ten scenarios.
    """
    measured = _ONE_BATCH if one_batch else _SEVERAL_BATCHES
    values = [
        np.interp(np.log(alpha), np.log(list(measured)), column) for column in zip(*measured.values(), strict=True)
    ]
    limit, low, high = map(float, values)
    return limit, low, high
