"""Stack counts of several studies, some of them on disk, without reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._on_disk import CountsOnDisk


class StackedCounts:
    """Counts of several studies on the same genes, one after the other, read by rows.

    Parameters
    ----------
    parts
        Counts of the studies, each of shape ``(n_cells_of_study, n_genes)``.
    """

    backend = "stack"

    def __init__(self, parts: Sequence[CountsOnDisk]) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([part.shape[0] for part in parts])
        self.shape = (int(self._ends[-1]), parts[0].shape[1])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    @property
    def bytes_of_cell(self) -> float:
        """Mean size of a cell in memory."""
        return sum(part.bytes_of_cell * part.shape[0] for part in self._parts) / max(1, self.shape[0])

    def __getitem__(self, rows: slice) -> sparse.csr_matrix:
        """Read consecutive cells of the studies that they lie in."""
        first, last, _ = rows.indices(self.shape[0])
        read = []
        for part, end in zip(self._parts, self._ends, strict=True):
            start = end - part.shape[0]
            if first < end and last > start:
                read.append(part[max(first, start) - start : min(last, end) - start])
        if not read:
            return sparse.csr_matrix((0, self.shape[1]), dtype=self.dtype)
        whole = read[0] if len(read) == 1 else sparse.vstack(read, format="csr")
        return whole.astype(self.dtype, copy=False)
