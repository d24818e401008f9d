"""Summarise a matrix in one pass by blocks, for telling whether it holds counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ._value_kinds import Verdict, tell_fractional, tell_signed, tell_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

#: Cells of a batch that are looked at closely, at most; more would not change the verdict.
_CELLS = 80
#: Cells of a batch that are looked at closely, at least.
_FEWEST_CELLS = 20
#: Cells of all batches together that are looked at closely, from which the number for each batch follows.
_ALL_CELLS = 2000
#: Larger values are none that float32 keeps apart from infinity, or that anything was counted to.
_LARGEST = 1e12


@dataclass
class Part:
    """The cells of a batch whose values are all whole, or of which some are not."""

    n_cells: int = 0
    n_values: int = 0
    n_fractional: int = 0
    smallest: float = np.inf
    largest: float = 0.0
    sample: list[sparse.csr_matrix] = field(default_factory=list)
    n_sampled: int = 0

    def verdict(self) -> Verdict:
        """Tell what the values of these cells are."""
        cells = self.sample[0] if len(self.sample) == 1 else sparse.vstack(self.sample, format="csr")
        cells = cells.astype(np.float64)
        if self.n_fractional:
            return tell_fractional(cells, self.n_fractional / self.n_values)
        return tell_whole(cells, self.smallest, self.largest)


@dataclass
class CountSummary:
    """Summary of the values of a matrix.

    Attributes
    ----------
    n_impossible
        Cells with missing, infinite or absurdly large values.
    n_empty
        Cells without any count on the genes that matter.
    signed
        What values are of which some are negative, else ``None``.
    parts
        Batch, and whether cells have fractional values, to what such cells are like. Empty cells are in none.
    """

    n_impossible: int
    n_empty: int
    signed: Verdict | None
    parts: dict[tuple[int, bool], Part]

    def verdicts(self) -> dict[tuple[int, bool], Verdict]:
        """Tell what the cells of each part are."""
        return {key: part.verdict() for key, part in self.parts.items()}


def summarize_counts(
    blocks: Iterable[Any], genes: NDArray[np.bool_] | None, batches: NDArray[np.int64]
) -> CountSummary:
    """Read a matrix once.

    Parameters
    ----------
    blocks
        Consecutive blocks of cells x genes, CSR or dense.
    genes
        Which genes matter, shape ``(n_genes,)``; ``None`` means all.
    batches
        Batch of each cell, from 0, shape ``(n_cells,)``.
    """
    n_batches = int(batches.max(initial=0)) + 1
    reader = _Reader(int(np.clip(_ALL_CELLS // n_batches, _FEWEST_CELLS, _CELLS)))
    start, n_impossible, n_empty = 0, 0, 0
    for block in blocks:
        some = batches[start : start + block.shape[0]]
        start += block.shape[0]
        values = block.data if sparse.issparse(block) else block
        smallest, largest = float(values.min(initial=0)), float(values.max(initial=0))
        if not (np.isfinite(smallest) and np.isfinite(largest) and max(-smallest, largest) < _LARGEST):
            n_impossible += _rows_with(block)
            continue
        on_genes = block.sum(axis=1) if genes is None else block @ genes.astype(np.float32)
        n_empty += int(np.count_nonzero(np.asarray(on_genes) == 0)) if smallest >= 0 else 0
        if smallest < 0 or reader.negative:
            reader.see_signed(block)
        else:
            reader.see(block, some)
    return CountSummary(n_impossible, n_empty, reader.signed(), reader.parts)


@dataclass
class _Reader:
    """Running summary of the blocks that were read."""

    n_sample: int
    parts: dict[tuple[int, bool], Part] = field(default_factory=dict)
    negative: int = 0
    n_signed: int = 0
    n_fractional: int = 0
    n_rows: int = 0
    sums: Any = 0.0
    squares: Any = 0.0

    def see(self, block: Any, batches: NDArray[np.int64]) -> None:
        """Take in a block without negative values."""
        n_values, n_fractional, low, high = _of_rows(block)
        is_fractional = n_fractional > 0
        keys = 2 * batches + is_fractional
        filled = n_values > 0
        for key in np.unique(keys[filled]).tolist():
            rows = np.flatnonzero((keys == key) & filled)
            part = self.parts.setdefault((key // 2, bool(key % 2)), Part())
            part.n_cells += len(rows)
            part.n_values += int(n_values[rows].sum())
            part.n_fractional += int(n_fractional[rows].sum())
            part.smallest = min(part.smallest, float(low[rows].min()))
            part.largest = max(part.largest, float(high[rows].max()))
            chosen = rows[: self.n_sample - part.n_sampled]
            if len(chosen):
                part.sample.append(_as_sample(block[chosen]))
                part.n_sampled += len(chosen)

    def see_signed(self, block: Any) -> None:
        """Take in a block once there are negative values."""
        values = _values(block)
        self.negative += int(np.count_nonzero(values < 0))
        self.n_signed += len(values)
        self.n_fractional += int(np.count_nonzero(values != np.rint(values)))
        self.n_rows += block.shape[0]
        squared = block.multiply(block) if sparse.issparse(block) else np.square(block, dtype=np.float64)
        self.sums = self.sums + np.asarray(block.sum(axis=0), dtype=np.float64).ravel()
        self.squares = self.squares + np.asarray(squared.sum(axis=0), dtype=np.float64).ravel()

    def signed(self) -> Verdict | None:
        """Tell what values are of which some are negative."""
        if not self.negative:
            return None
        means = self.sums / self.n_rows
        spreads = np.sqrt(np.maximum(self.squares / self.n_rows - means**2, 0))
        varies = spreads > 0
        negative, fractional = self.negative / self.n_signed, self.n_fractional / self.n_signed
        return tell_signed(negative, fractional, means[varies], spreads[varies], self.n_rows)


def _of_rows(block: Any) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return for each cell the numbers of non-zero and fractional values, and its extremes.

    The extremes are the smallest and the largest non-zero value.
    """
    if not sparse.issparse(block):
        return _of_dense_rows(block)
    n_cells = block.shape[0]
    data, starts = block.data, block.indptr
    n_values = np.diff(starts)
    if not data.all():  # zeros that are stored
        n_values = np.add.reduceat(np.append(data != 0, False).astype(np.int64), starts[:-1]) * (n_values > 0)
    n_fractional = np.zeros(n_cells, dtype=np.int64)
    if data.dtype.kind == "f":
        places = np.flatnonzero(data != np.rint(data))
        if len(places):
            n_fractional = np.diff(np.searchsorted(places, starts))
    filled = np.diff(starts) > 0
    low, high = np.full(n_cells, np.inf), np.zeros(n_cells)
    if filled.any():
        high[filled] = np.maximum.reduceat(data, starts[:-1][filled])
        positive = data if data.all() else np.where(data == 0, np.inf, data)
        low[filled] = np.minimum.reduceat(positive, starts[:-1][filled])
    return n_values, n_fractional, low, high


def _of_dense_rows(block: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    n_values = np.count_nonzero(block, axis=1)
    n_fractional = np.zeros(len(block), dtype=np.int64)
    if block.dtype.kind == "f":
        n_fractional = np.count_nonzero(block != np.rint(block), axis=1)
    high = block.max(axis=1, initial=0).astype(float)
    if (block == 1).any(axis=1).all() and not n_fractional.any():  # what counts nearly always are
        return n_values, n_fractional, np.ones(len(block)), high
    low = np.where(block == 0, np.inf, block).min(axis=1, initial=np.inf)
    return n_values, n_fractional, low, high


def _rows_with(block: Any) -> int:
    """Return how many cells have a value that is missing, infinite or absurdly large."""
    values = block.data if sparse.issparse(block) else block
    wrong = ~(np.abs(values) < _LARGEST)
    if not sparse.issparse(block):
        return int(wrong.any(axis=1).sum())
    return len(np.unique(np.searchsorted(block.indptr, np.flatnonzero(wrong), side="right")))


def _values(block: Any) -> NDArray:
    values = block.data if sparse.issparse(block) else block.ravel()
    return values[values != 0]


def _as_sample(cells: Any) -> sparse.csr_matrix:
    sample = sparse.csr_matrix(cells, dtype=np.float32, copy=True)
    sample.sum_duplicates()
    sample.eliminate_zeros()
    return sample
