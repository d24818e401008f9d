"""Classify the values of a matrix as counts, or as transformed counts.

Pure functions of matrices.

Every rule rests on what counts cannot do. Whole numbers stay whole when a logarithm or a scaling is undone, whatever
genes were left out since; cells do not all sum to the same; among many counts some are 1 and some are more; and counts
of a gene vary at least as much as Poisson's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._count_signs import (
    SAME,
    are_ranks,
    common_divisors,
    cut_off,
    expected_above_one,
    expected_below,
    relative_variance,
    rounded_to,
    same_sum,
    single_counts_stand_apart,
    smallest_values,
    spread,
    sums_of_cells,
    whole_ratios,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy import sparse

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
#: Share of values that have to be whole multiples of one number.
_SHARE = 0.8
#: Values that Poisson counts would have above 1, or below the smallest, at which their absence is no chance (e^-20).
_EXPECTED = 20.0
_FEWEST_VALUES = 30
#: Cells that show what all were made by: so many, and this share.
_FEWEST_CELLS = 3
_SOME = 0.05
#: Values of a cell that show the ratios of their counts once they were normalised and rounded: many, and large.
_MANY_VALUES = 20
_LARGE = 10
#: How near to whole numbers ratios have to be where estimated counts come near, too.
_EXACTLY = 1e-4
_FRACTIONAL = 0.5
#: How far off undone values may be as a share of them, and how many of them have to be nearer, for them to be whole.
_OFF = 1e-3
_NEARLY_ALL = 0.95


class Verdict(NamedTuple):
    """Probable kind of the values of a matrix.

    Attributes
    ----------
    kind
        ``"counts"``; ``"estimated counts"`` and ``"rescaled"`` (by one factor), with which a model of counts can do; or
        what is none: ``"logarithms"``, ``"normalised"``, ``"multiplied"``, ``"binarised"``, ``"compressed"``,
        ``"ranks"``, ``"cut off"``, ``"shifted"``, ``"scaled"``, ``"residuals"``.
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
        """True if a model of counts can do with them."""
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
    factors, agree = whole_ratios(cells, values)
    if agree is not None and agree >= _SHARE:
        if spread(factors) < SAME:
            factor = float(np.median(factors))
            multiples = f"{seen}, all of them multiples of {factor:.6g}"
            whole = (cells / factor).rint()
            within = tell_whole(whole, float(whole.data.min()), float(whole.data.max()))
            if within.kind != "counts" and same_sum(cells, values) is not None:
                return _normalised(cells, values, "", seen)
            if within.kind != "counts":
                return Verdict(within.kind, f"{within.what}, times {factor:.6g}", f"{multiples}; {within.figure}")
            return Verdict("rescaled", f"counts multiplied by {factor:.6g}", multiples)
        if share > _FRACTIONAL:
            return _normalised(cells, values, "", seen)
    if share > _FRACTIONAL and same_sum(cells, values) is not None:
        return _normalised(cells, values, "", seen)
    may_be_log = values.max(initial=0) <= _LARGEST_LOG
    tried = _UNDONE if may_be_log else {"square root": _UNDONE["square root"]}
    agreement = {name: whole_ratios(cells, undo(values))[1] or 0.0 for name, (undo, _) in tried.items()}
    best = max(agreement, key=agreement.__getitem__)
    if agreement[best] < _SHARE:
        best = next((name for name in tried if same_sum(cells, tried[name][0](values)) is not None), "")
    if best:
        return _normalised(cells, tried[best][0](values), best, seen)
    if may_be_log and share > _FRACTIONAL:
        return Verdict(
            "logarithms",
            "or transformed in another way",
            f"{seen}, and none is larger than {values.max(initial=0):.3g}",
        )
    if share > _FRACTIONAL and (otherwise := _scaled_or_smoothed(cells, seen)):
        return otherwise
    return Verdict("estimated counts", "estimated counts", seen)


def _scaled_or_smoothed(cells: sparse.csr_matrix, seen: str) -> Verdict | None:
    """Tell whether each gene has a scale of its own, small values are lacking, or genes vary less than counts."""
    of_genes = cells.T.tocsr()
    agree = whole_ratios(of_genes, of_genes.data, near=_EXACTLY)[1]
    if agree is not None and agree >= _SHARE:
        what = "counts of which each gene was divided by a number of its own, such as its length or its largest value"
        return Verdict("normalised", what, f"{seen}, and the values of each gene are multiples of one number")
    if (ratio := relative_variance(cells, largest_mean=_LARGEST_LOG)) is not None:
        what = "square roots, logarithms, or smoothed or imputed values"
        return Verdict("compressed", what, f"{seen}, and {_too_even(ratio)}")
    return _without_small_values(cells, smallest_values(cells, cells.data))


def tell_whole(cells: sparse.csr_matrix, smallest: float, largest: float) -> Verdict:
    """Tell what values are that are all whole numbers.

    Parameters
    ----------
    cells
        A sample of these cells, shape ``(n_cells, n_genes)``: not negative, without stored zeros.
    smallest, largest
        Of all their non-zero values.
    """
    if not cells.nnz:
        return COUNTS
    if smallest == largest and expected_above_one(cells) >= _EXPECTED:
        times = "" if smallest == 1 else f", and multiplied by {smallest:,.0f}"
        return Verdict(
            "binarised",
            f"binarised (present or absent){times}",
            f"every non-zero value is {smallest:,.0f}, where about {expected_above_one(cells):,.0f} of {cells.nnz:,} "
            "would be larger if they were counts",
        )
    if smallest != largest and (multiplied := _multiplied(cells)):
        return multiplied
    sums, lows = sums_of_cells(cells, cells.data), smallest_values(cells, cells.data)
    if are_ranks(cells, sums):
        return Verdict("ranks", "ranks of genes within cells", "the values of each cell follow each other, once each")
    if (target := rounded_to(sums, lows)) is not None:
        return Verdict(
            "normalised",
            f"counts normalised to {target:,.0f} per cell and rounded",
            f"all cells sum to {target:,.0f}, to within 1%",
        )
    if (ratio := relative_variance(cells)) is not None:
        return Verdict("compressed", "rounded logarithms, square roots, ranks or bins", _too_even(ratio))
    return _cut_off(cells, largest) or _cut_off_below(cells, smallest) or _normalised_and_rounded(cells, lows) or COUNTS


def _multiplied(cells: sparse.csr_matrix) -> Verdict | None:
    """Tell whether whole numbers are multiples that counts are not, of one number or of one for each cell."""
    divisor = int(np.gcd.reduce(cells.data.astype(np.int64)))
    if divisor > 1 and cells.nnz >= _FEWEST_VALUES:
        return Verdict("multiplied", f"counts multiplied by {divisor}", f"every value is a multiple of {divisor}")
    for of, one in ((cells, "cell"), (cells.T.tocsr(), "gene")):
        divisors = common_divisors(of, varying=one == "gene")
        n = int((divisors > 1).sum())
        if n >= max(_FEWEST_CELLS, _SOME * len(divisors)):
            return Verdict(
                "normalised",
                f"counts of which each {one} was multiplied by a number of its own",
                f"all values of a {one} are multiples of {sorted(set(divisors[divisors > 1].tolist()))[:3]} in {n} of "
                f"{len(divisors)} {one}s",
            )
    return None


def _normalised_and_rounded(cells: sparse.csr_matrix, lows: NDArray) -> Verdict | None:
    """Tell whether single counts became larger whole numbers, in some cells at least."""
    apart = single_counts_stand_apart(cells, lows)
    if apart.sum() >= max(_FEWEST_CELLS, _SOME * len(lows)):
        told = (
            f"single counts are larger than 1 in {apart.sum()} of {len(lows)} cells, and hardly any value follows them"
        )
        return Verdict("normalised", "normalised counts that were rounded", told)
    return _without_small_values(cells, lows)


def _without_small_values(cells: sparse.csr_matrix, lows: NDArray) -> Verdict | None:
    """Tell whether even the smallest of many values of a cell are large."""
    low = float(np.median(lows))
    if low < _LARGE or cells.nnz < _MANY_VALUES * len(lows) or len(lows) < _FEWEST_CELLS:
        return None
    told = f"the smallest value of the median cell is {low:,.0f}, where counts have many of 1"
    return Verdict("normalised", "normalised counts, such as CPM, TPM or FPKM", told)


def _cut_off_below(cells: sparse.csr_matrix, smallest: float) -> Verdict | None:
    """Tell whether values end below as counts do not."""
    if (n_expected := expected_below(cells, smallest)) < _EXPECTED:
        return None
    told = f"no value is {smallest - 1:,.0f}, where at least {n_expected:,.0f} would be if they were counts"
    if cells.nnz == cells.shape[0] * cells.shape[1]:
        return Verdict("shifted", f"counts with {smallest:,.0f} added to each", told)
    return Verdict("cut off", f"counts of which those below {smallest:,.0f} were left out or changed", told)


def _cut_off(cells: sparse.csr_matrix, largest: float) -> Verdict | None:
    """Tell whether values pile up at the largest number."""
    if not (n_end := cut_off(cells, largest)):
        return None
    what = "counts (or bins) that were cut off, or stored in too few bits"
    return Verdict("cut off", what, f"{n_end:,} values lie at the largest number, {largest:,.0f}, and none beyond")


def _too_even(ratio: float) -> str:
    return (
        f"non-zero values of a gene vary {ratio:.2f} times as much as Poisson counts of their mean, which counts cannot"
    )


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
    target = same_sum(cells, undone)
    if target is not None:
        name = {1e6: "CPM or TPM", 1.0: "proportions"}.get(float(f"{target:.4g}"))
        what = f"{of}{name}" if name else f"{of}counts normalised to {target:,.6g} per cell"
        return Verdict(kind, what, f"{seen}, and {formula} of each cell sum to {target:,.6g}")
    off = np.abs(undone - np.rint(undone))
    factors = (
        np.ones(1) if (off < _OFF * np.maximum(undone, 10)).mean() > _NEARLY_ALL else whole_ratios(cells, undone)[0]
    )
    if spread(factors) < SAME and len(factors):
        factor = float(np.median(factors))
        times = "raw counts" if abs(factor - 1) < SAME else f"counts times {factor:.4g}"
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


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 or not share else "less than 1%"
