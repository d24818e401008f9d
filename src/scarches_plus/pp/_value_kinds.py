"""Tell from values alone what they probably are: counts, or what somebody made of counts. Pure functions of matrices.

Every rule rests on what counts cannot do. Whole numbers stay whole when a logarithm or a scaling is undone, whatever genes were
left out since; cells do not all sum to the same; among many counts some are 1 and some are more; and counts of a gene vary at
least as much as Poisson's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: What undoes a transformation, and how it reads.
_UNDONE: dict[str, tuple[Callable[[NDArray], NDArray], str]] = {
    "log1p": (np.expm1, "expm1(x)"),
    "log2(x + 1)": (lambda x: np.exp2(x) - 1, "2^x - 1"),
    "log10(x + 1)": (lambda x: 10.0**x - 1, "10^x - 1"),
    "square root": (np.square, "x^2"),
    "arcsinh": (np.sinh, "sinh(x)"),
}
#: Larger values are no logarithms: log2(1e6 + 1) is 19.9.
_LARGEST_LOG = 20.0
#: Ratios to the smallest value of a cell that are looked at, how near they have to be to whole numbers, which share of them, and
#: how many there have to be. By chance a tenth is so near.
_RATIOS, _NEAR, _SHARE, _FEWEST = 20.0, 0.05, 0.8, 10
#: The smallest count of a cell is one of these.
_SMALLEST_COUNTS = (1, 2, 3)
#: Relative spread of the sums of cells below which they are the same, and as much after rounding.
_SAME, _ROUNDED = 2e-3, 1e-2
_TARGETS = np.array([1.0, 1e2, 1e3, 1e4, 1e5, 1e6])
#: Values above 1 that Poisson counts would have, at which their absence is no chance (e^-20).
_EXPECTED = 20.0
_FEWEST_VALUES = 30
#: Variance of genes' non-zero values over that of Poisson counts, the median, below which they are no counts (of real counts it
#: is 1.3 and more), with at least so many genes that have such a mean in such a number of cells; with few genes it has to be less.
_VARIANCE, _GENES, _VARIANCE_OF_FEW, _FEW_GENES = 0.7, 20, 0.5, 5
_MEAN, _CELLS = 1.5, 20
_FRACTIONAL = 0.5


class Verdict(NamedTuple):
    """What values probably are.

    Attributes
    ----------
    kind
        ``"counts"``; ``"estimated counts"`` and ``"rescaled"`` (by one factor), with which a model of counts can do; or what is
        none: ``"logarithms"``, ``"normalised"``, ``"multiplied"``, ``"binarised"``, ``"compressed"``, ``"ranks"``,
        ``"scaled"``, ``"residuals"``.
    what
        The same in words for a message.
    figure
        The figure that gives it away, in words.
    """

    kind: str
    what: str
    figure: str

    @property
    def is_counts(self) -> bool:
        """Whether a model of counts can do with them."""
        return self.kind in {"counts", "estimated counts", "rescaled"}


COUNTS = Verdict("counts", "raw counts", "whole numbers")


def tell_fractional(cells: sparse.csr_matrix, share: float) -> Verdict:
    """Tell what values are of which some are no whole numbers.

    Parameters
    ----------
    cells
        A sample of these cells, shape ``(n_cells, n_genes)``: not negative, without stored zeros.
    share
        Share of their non-zero values that are fractional, 0 to 1.
    """
    values = cells.data
    seen = f"{_percent(share)} of the non-zero values are not whole numbers"
    if share > _FRACTIONAL:
        factors, agree = _whole_ratios(cells, values)
        if agree is not None and agree >= _SHARE:
            if _spread(factors) < _SAME:
                factor = float(np.median(factors))
                return Verdict(
                    "rescaled", f"counts multiplied by {factor:.6g}", f"{seen}, all of them multiples of {factor:.6g}"
                )
            return _normalised(cells, values, "", seen)
        if _same_sum(cells, values) is not None:
            return _normalised(cells, values, "", seen)
    may_be_log = values.max(initial=0) <= _LARGEST_LOG
    tried = _UNDONE if may_be_log else {"square root": _UNDONE["square root"]}
    agreement = {name: _whole_ratios(cells, undo(values))[1] or 0.0 for name, (undo, _) in tried.items()}
    best = max(agreement, key=agreement.__getitem__)
    if agreement[best] < _SHARE:
        best = next((name for name in tried if _same_sum(cells, tried[name][0](values)) is not None), "")
    if best:
        return _normalised(cells, tried[best][0](values), best, seen)
    if may_be_log and share > _FRACTIONAL:
        return Verdict(
            "logarithms",
            "or transformed in another way",
            f"{seen}, and none is larger than {values.max(initial=0):.3g}",
        )
    return Verdict("estimated counts", "estimated counts", seen)


def tell_whole(cells: sparse.csr_matrix, smallest: float, largest: float, divisor: int) -> Verdict:
    """Tell what values are that are all whole numbers.

    Parameters
    ----------
    cells
        A sample of these cells, shape ``(n_cells, n_genes)``: not negative, without stored zeros.
    smallest, largest
        Of all their non-zero values.
    divisor
        Largest number that divides all values.
    """
    if not cells.nnz:
        return COUNTS
    if smallest == largest and _expected_above_one(cells) >= _EXPECTED:
        times = "" if smallest == 1 else f", and multiplied by {smallest:,.0f}"
        return Verdict(
            "binarised",
            f"binarised (present or absent){times}",
            f"every non-zero value is {smallest:,.0f}, where about {_expected_above_one(cells):,.0f} of {cells.nnz:,} "
            "would be larger if they were counts",
        )
    if divisor > 1 and smallest != largest and cells.nnz >= _FEWEST_VALUES:
        return Verdict("multiplied", f"counts multiplied by {divisor}", f"every value is a multiple of {divisor}")
    sums, lows = _sums(cells, cells.data), _lows(cells, cells.data)
    if _are_ranks(cells, sums):
        return Verdict("ranks", "ranks of genes within cells", "the values of each cell are 1, 2, 3, ... once each")
    if (target := _rounded_to(sums, lows)) is not None:
        return Verdict(
            "normalised",
            f"counts normalised to {target:,.0f} per cell and rounded",
            f"all cells sum to {target:,.0f}, to {_percent(_spread(sums))}",
        )
    if np.median(lows) >= 10:
        factors, agree = _whole_ratios(cells, cells.data, informative=np.ones(cells.nnz, dtype=bool), near=0.1)
        if agree is not None and agree >= _SHARE and _spread(factors) >= _SAME:
            return Verdict(
                "normalised",
                "normalised counts that were rounded",
                f"the values of each cell are multiples of one number, {np.median(factors):,.0f} in the median cell",
            )
    ratio = _relative_variance(cells)
    if ratio is not None:
        return Verdict(
            "compressed",
            "rounded logarithms, square roots, ranks or bins",
            f"non-zero values of a gene vary {ratio:.2f} times as much as Poisson counts of their mean, which counts cannot",
        )
    return COUNTS


def tell_signed(negative: float, fractional: float, means: NDArray, spreads: NDArray, n_cells: int) -> Verdict:
    """Tell what values are of which some are negative.

    Parameters
    ----------
    negative, fractional
        Shares of the non-zero values.
    means, spreads
        Mean and standard deviation of each gene that varies, over ``n_cells`` cells.
    """
    seen = f"{_percent(negative)} of the non-zero values are negative"
    if not fractional:
        return Verdict("residuals", "damaged, or counts that something was subtracted from", seen)
    if len(means) and n_cells >= 10:
        centred = float(np.median(np.abs(means) / (spreads / np.sqrt(n_cells))))
        if centred < 1.5:
            unit = float(np.median(spreads))
            if 0.5 < unit < 1.5:
                return Verdict(
                    "scaled", "scaled (z-scores)", f"{seen}, and genes have mean 0 and variance {unit**2:.2g}"
                )
            return Verdict("residuals", "residuals, or centred values", f"{seen}, and genes have mean 0")
    return Verdict("residuals", "residuals, or corrected, centred or batch-corrected values", seen)


def _normalised(cells: sparse.csr_matrix, undone: NDArray, how: str, seen: str) -> Verdict:
    """Name what was done to counts, once it is known that it was done."""
    kind = ("logarithms" if how.startswith("log") else "compressed") if how else "normalised"
    of = f"{how} of " if how else ""
    formula = f"{_UNDONE[how][1]} of the values" if how else "the values"
    target = _same_sum(cells, undone)
    if target is not None:
        name = {1e6: "CPM or TPM", 1.0: "proportions"}.get(float(f"{target:.4g}"))
        what = f"{of}{name}" if name else f"{of}counts normalised to {target:,.6g} per cell"
        return Verdict(kind, what, f"{seen}, and {formula} of each cell sum to {target:,.6g}")
    factors, _ = _whole_ratios(cells, undone)
    if _spread(factors) < _SAME and len(factors):
        factor = float(np.median(factors))
        times = "raw counts" if abs(factor - 1) < _SAME else f"counts times {factor:.4g}"
        return Verdict(
            kind,
            f"{of}{times}",
            f"{seen}, and {formula} are whole numbers" + ("" if times == "raw counts" else f" times {factor:.4g}"),
        )
    return Verdict(
        kind,
        f"{of}normalised counts",
        f"{seen}, and {formula} of each cell are multiples of one number",
    )


def _whole_ratios(
    cells: sparse.csr_matrix, undone: NDArray, informative: NDArray | None = None, near: float = _NEAR
) -> tuple[NDArray, float | None]:
    """Return the size of one count in each cell, and the share of the values that are whole multiples of it.

    The values that show it are fractional and not the smallest of their cell; ``None`` if there are too few of them.
    """
    filled = np.flatnonzero(np.diff(cells.indptr))
    lows = _lows(cells, undone)
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


def _same_sum(cells: sparse.csr_matrix, undone: NDArray) -> float | None:
    """Return what all cells sum to, ``None`` if they do not sum to the same."""
    sums = _sums(cells, undone)
    if not len(sums) or not np.isfinite(sums).all():
        return None
    target = float(np.median(sums))
    common = _TARGETS[np.abs(_TARGETS / target - 1) < _SAME]
    if _spread(sums) < _SAME and (len(sums) >= 5 or len(common)):
        return float(common[0]) if len(common) else target
    return None


def _rounded_to(sums: NDArray, lows: NDArray) -> float | None:
    """Return what all cells sum to but for rounding, on both sides of it; ``None`` for sums of counts.

    Counts that were thinned to one depth sum to it exactly, or to less where genes were left out since.
    """
    if len(sums) < 5 or not 0 < _spread(sums) < _ROUNDED:
        return None
    near = _TARGETS[(_TARGETS >= 1e3) & (sums.min() < _TARGETS) & (sums.max() > _TARGETS)]
    if len(near):
        return float(near[0])
    return float(np.median(sums)) if np.median(lows) >= 2 else None


def _expected_above_one(cells: sparse.csr_matrix) -> float:
    """Return how many values of 2 and more independent Poisson counts of these sums of cells and genes would have."""
    present = sparse.csr_matrix((np.ones(cells.nnz), cells.indices, cells.indptr), cells.shape)
    of_cells, of_genes = np.asarray(present.sum(axis=1)).ravel(), np.asarray(present.sum(axis=0)).ravel()
    return float(np.sum(of_cells**2) * np.sum(of_genes**2) / (2 * max(cells.nnz, 1) ** 2))


def _are_ranks(cells: sparse.csr_matrix, sums: NDArray) -> bool:
    sizes = np.diff(cells.indptr)
    sizes = sizes[sizes > 0]
    highs = np.maximum.reduceat(cells.data, cells.indptr[:-1][np.diff(cells.indptr) > 0])
    many = sizes >= _FEWEST
    return bool(many.any() and (highs == sizes)[many].all() and (sums == sizes * (sizes + 1) / 2)[many].all())


def _relative_variance(cells: sparse.csr_matrix) -> float | None:
    """Return the variance of genes' non-zero values over that of Poisson counts of their mean, if it is too small for counts."""
    n = np.bincount(cells.indices, minlength=cells.shape[1])
    total = np.bincount(cells.indices, cells.data, cells.shape[1])
    squares = np.bincount(cells.indices, cells.data**2, cells.shape[1])
    kept = n >= _CELLS
    mean = total[kept] / n[kept]
    variance = (squares[kept] - n[kept] * mean**2) / (n[kept] - 1)
    high = (mean >= _MEAN) & (variance > 0)  # of equal cells nothing can be told
    limit = _VARIANCE if high.sum() >= _GENES else _VARIANCE_OF_FEW
    if high.sum() < _FEW_GENES:
        return None
    mean, variance = mean[high], variance[high]
    rate = mean.copy()
    for _ in range(50):  # mean = rate / (1 - exp(-rate)), a contraction from above
        rate = mean * -np.expm1(-rate)
    ratio = float(np.median(variance / (mean * (1 + rate - mean))))
    return ratio if ratio < limit else None


def _sums(cells: sparse.csr_matrix, values: NDArray) -> NDArray:
    starts = cells.indptr[:-1][np.diff(cells.indptr) > 0]
    return np.add.reduceat(values, starts) if len(starts) else np.empty(0)


def _lows(cells: sparse.csr_matrix, values: NDArray) -> NDArray:
    starts = cells.indptr[:-1][np.diff(cells.indptr) > 0]
    return np.minimum.reduceat(values, starts) if len(starts) else np.empty(0)


def _spread(values: NDArray) -> float:
    """Return the standard deviation as a share of the mean."""
    if not len(values):
        return np.inf
    return float(values.std() / values.mean()) if values.mean() else 0.0


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 or not share else "less than 1%"
