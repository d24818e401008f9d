"""Compute statistics that tell counts from transformed values.

These are sums of cells, ratios within a cell, and the variance of genes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Ratios to the smallest value of a cell that are looked at, how near they have to be to whole numbers, and how many
#: there have to be. By chance a tenth is so near.
_RATIOS = 20.0
_NEAR = 0.05
_FEWEST = 10
#: The smallest count of a cell is one of these.
_SMALLEST_COUNTS = (1, 2, 3)
#: Relative spread of the sums of cells below which they are the same, and as much after rounding.
SAME = 2e-3
_ROUNDED = 1e-2
_TARGETS = np.array([1.0, 1e2, 1e3, 1e4, 1e5, 1e6])
#: Variance of genes' non-zero values over that of Poisson counts, the median, below which they are no counts (of real
#: counts it is 1.3 and more), with at least so many genes that have such a mean in such a number of cells; with few
#: genes it has to be less.
_VARIANCE = 0.7
_GENES = 20
_VARIANCE_OF_FEW = 0.5
_FEW_GENES = 5
_MEAN = 1.5
_CELLS = 20
#: Share of a cell's values that are its smallest, at which these are single counts, and how many of them the next
#: number may have.
_SINGLE_COUNTS = 0.3
_NEXT = 0.2
#: Values of a cell among which single counts are many.
_MANY_VALUES = 20
#: Values at the very end of the range, of how many genes at least, that no tail of counts has. An overflow of whole
#: numbers of so many bits ends the range without a pile, but with many values in its last eighth.
_PILE = 20
_ENDS_OF_BITS = (2**7, 2**8, 2**15, 2**16)
_LAST = 7 / 8
#: Values that are the smallest one, at least, where there should be some below.
_MANY = 100


def whole_ratios(
    cells: sparse.csr_matrix, undone: NDArray, informative: NDArray | None = None, near: float = _NEAR
) -> tuple[NDArray, float | None]:
    """Return the size of one count in each cell, and the share of the values that are whole multiples of it.

    The values that show it are fractional and not the smallest of their cell; ``None`` if there are too few of them.
    """
    filled = np.flatnonzero(np.diff(cells.indptr))
    lows = smallest_values(cells, undone)
    of_value = np.repeat(np.arange(len(filled)), np.diff(cells.indptr)[filled])
    ratios = undone / np.maximum(lows[of_value], np.finfo(float).tiny)
    shows = (cells.data != np.rint(cells.data)) if informative is None else informative
    shows = shows & (ratios > 1 + near) & (ratios <= _RATIOS)
    if shows.sum() < _FEWEST:
        return np.empty(0), None
    hits = np.empty((len(_SMALLEST_COUNTS), len(filled)))
    for row, smallest in enumerate(_SMALLEST_COUNTS):
        scaled = ratios[shows] * smallest
        hits[row] = np.bincount(of_value[shows], np.abs(scaled - np.rint(scaled)) < near, len(filled))
    best = hits.argmax(axis=0)
    n = np.bincount(of_value[shows], minlength=len(filled))
    factors = lows / np.array(_SMALLEST_COUNTS)[best]
    return factors[n > 0], float(hits.max(axis=0).sum() / n.sum())


def same_sum(cells: sparse.csr_matrix, undone: NDArray) -> float | None:
    """Return what all cells sum to, ``None`` if they do not sum to the same."""
    sums = sums_of_cells(cells, undone)
    if not len(sums) or not np.isfinite(sums).all():
        return None
    target = float(np.median(sums))
    common = _TARGETS[np.abs(_TARGETS / target - 1) < SAME]
    if spread(sums) < SAME and (len(sums) >= 5 or len(common)):
        return float(common[0]) if len(common) else target
    return None


def rounded_to(sums: NDArray, lows: NDArray) -> float | None:
    """Return what all cells sum to but for rounding, on both sides of it; ``None`` for sums of counts.

    Counts that were thinned to one depth sum to it exactly, or to less where genes were left out since.
    """
    if len(sums) < 5 or not 0 < spread(sums) < _ROUNDED:
        return None
    near = _TARGETS[(_TARGETS >= 1e3) & (sums.min() < _TARGETS) & (sums.max() > _TARGETS)]
    if len(near):
        return float(near[0])
    return float(np.median(sums)) if np.median(lows) >= 2 else None


def expected_above_one(cells: sparse.csr_matrix) -> float:
    """Return how many values of 2 and more independent Poisson counts of these sums of cells and genes would have."""
    present = sparse.csr_matrix((np.ones(cells.nnz), cells.indices, cells.indptr), cells.shape)
    of_cells, of_genes = np.asarray(present.sum(axis=1)).ravel(), np.asarray(present.sum(axis=0)).ravel()
    return float(np.sum(of_cells**2) * np.sum(of_genes**2) / (2 * max(cells.nnz, 1) ** 2))


def expected_below(cells: sparse.csr_matrix, smallest: float) -> float:
    r"""Return how many values next below the smallest one counts would have at least, where there are none.

    If this number is large, the values are no counts.

    For any mixture of Poisson distributions :math:`(k! p_k)^2 \le (k-1)! p_{k-1} (k+1)! p_{k+1}` (Cauchy and Schwarz).
    """
    if smallest == 1 and cells.nnz < cells.shape[0] * cells.shape[1]:
        return 0.0  # there are zeros
    lowest = cells.data == smallest
    if lowest.sum() < _MANY or len(np.unique(cells.indices[lowest])) < _GENES:
        return 0.0
    n_next = int((cells.data == smallest + 1).sum())
    return float(smallest / (smallest + 1) * lowest.sum() ** 2 / max(n_next, 1))


def are_ranks(cells: sparse.csr_matrix, sums: NDArray) -> bool:
    """Tell whether the values of each cell are consecutive numbers, once each."""
    sizes, highs = _sizes(cells), np.maximum.reduceat(cells.data, _starts(cells))
    lows = smallest_values(cells, cells.data)
    many = sizes >= _FEWEST
    consecutive = (highs - lows + 1 == sizes) & (sums == sizes * (highs + lows) / 2)
    return bool(many.any() and consecutive[many].all())


def common_divisors(cells: sparse.csr_matrix, *, varying: bool = False) -> NDArray[np.int64]:
    """Return the largest number that divides all values of a cell, for each cell that can tell.

    Such cells have values enough, and if asked, values that vary.
    """
    divisors = np.gcd.reduceat(cells.data.astype(np.int64), _starts(cells))
    tell = _sizes(cells) >= _FEWEST
    if varying:
        tell &= np.maximum.reduceat(cells.data, _starts(cells)) > smallest_values(cells, cells.data)
    return divisors[tell]


def cut_off(cells: sparse.csr_matrix, largest: float) -> int:
    """Return how many values pile up at the end of their range, as counts do not.

    Counts have a tail, and such values end at no round number of bits.

    0 if they may be counts.
    """
    values = cells.data
    if len(values) < _FEWEST * _PILE:
        return 0
    at_end = values == largest
    n_end, n_next = int(at_end.sum()), int((values == largest - 1).sum())
    if largest + 1 in _ENDS_OF_BITS and n_end <= 2 * n_next:
        at_end = values > _LAST * largest
    elif n_end < 2 * n_next or largest < 2:
        return 0
    n_end = int(at_end.sum())
    return n_end if n_end >= _PILE and len(np.unique(cells.indices[at_end])) >= _FEW_GENES else 0


def relative_variance(cells: sparse.csr_matrix, largest_mean: float = np.inf) -> float | None:
    """Return the variance of genes' non-zero values as a ratio to Poisson counts of their mean.

    ``None`` if it is not too small for counts.
    """
    n = np.bincount(cells.indices, minlength=cells.shape[1])
    total = np.bincount(cells.indices, cells.data, cells.shape[1])
    squares = np.bincount(cells.indices, cells.data**2, cells.shape[1])
    kept = n >= _CELLS
    mean = total[kept] / n[kept]
    variance = (squares[kept] - n[kept] * mean**2) / (n[kept] - 1)
    high = (mean >= _MEAN) & (mean <= largest_mean) & (variance > 0)  # of equal cells nothing can be told
    limit = _VARIANCE if high.sum() >= _GENES else _VARIANCE_OF_FEW
    if high.sum() < _FEW_GENES:
        return None
    mean, variance = mean[high], variance[high]
    rate = mean.copy()
    for _ in range(50):  # mean = rate / (1 - exp(-rate)), a contraction from above
        rate = mean * -np.expm1(-rate)
    ratio = float(np.median(variance / (mean * (1 + rate - mean))))
    return ratio if ratio < limit else None


def sums_of_cells(cells: sparse.csr_matrix, values: NDArray) -> NDArray:
    starts = _starts(cells)
    return np.add.reduceat(values, starts) if len(starts) else np.empty(0)


def smallest_values(cells: sparse.csr_matrix, values: NDArray) -> NDArray:
    starts = _starts(cells)
    return np.minimum.reduceat(values, starts) if len(starts) else np.empty(0)


def single_counts_stand_apart(cells: sparse.csr_matrix, lows: NDArray) -> NDArray[np.bool_]:
    """Tell for each cell whether its smallest value is above 1 and frequent, and the next whole number is not.

    So it is where counts of 1 became 3 and counts of 2 became 6; where small counts were left out, 3 follows 2.
    """
    sizes = _sizes(cells)
    above = cells.data - np.repeat(lows, sizes)
    at_low = sums_of_cells(cells, (above == 0).astype(float)) / sizes
    next_to_it = sums_of_cells(cells, (above == 1).astype(float)) / sizes
    return (lows >= 2) & (sizes >= _MANY_VALUES) & (at_low >= _SINGLE_COUNTS) & (next_to_it < _NEXT * at_low)


def _starts(cells: sparse.csr_matrix) -> NDArray:
    """Return where each cell begins that has values."""
    return cells.indptr[:-1][np.diff(cells.indptr) > 0]


def _sizes(cells: sparse.csr_matrix) -> NDArray:
    """Return how many values each cell has, of those that have any."""
    sizes = np.diff(cells.indptr)
    return sizes[sizes > 0]


def spread(values: NDArray) -> float:
    """Return the standard deviation as a share of the mean."""
    if not len(values):
        return np.inf
    return float(values.std() / values.mean()) if values.mean() else 0.0
