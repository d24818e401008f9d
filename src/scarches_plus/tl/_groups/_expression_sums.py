"""Sum expression over groups of cells.

Pure functions of matrices and arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

#: Cells in one step.
BLOCK = 4096
#: Sum that counts of a cell are scaled to.
_TARGET = 1e4


def log_normalized(blocks: Iterable[Any]) -> Iterator[sparse.csr_matrix]:
    """Yield ``log(1 + 1e4 x / sum x)`` of raw counts; cells without a count stay zero.

    Parameters
    ----------
    blocks
        Blocks of cells x genes, sparse or dense.

    Raises
    ------
    ValueError
        If a count is negative or not finite.

    References
    ----------
    Stuart et al. 2019.
    """
    for block in blocks:
        cells = sparse.csr_matrix(block, dtype=np.float64)
        if not np.isfinite(cells.data).all() or (cells.data < 0).any():
            message = "counts are negative, infinite or missing: name the layer that holds raw counts with `layer=`"
            raise ValueError(message)
        total = np.asarray(cells.sum(axis=1)).ravel()
        factor = np.divide(_TARGET, total, out=np.zeros_like(total), where=total > 0)
        values = np.log1p(cells.data * np.repeat(factor, np.diff(cells.indptr)))
        yield sparse.csr_matrix((values, cells.indices, cells.indptr), shape=cells.shape)


def grouped_sums(
    blocks: Iterable[Any], codes: NDArray, n_groups: int, n_genes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sums, and sums of squares, of every gene over the cells of every group.

    Parameters
    ----------
    blocks
        Consecutive blocks of cells x genes, sparse or dense.
    codes
        Group of every cell, -1 for none, shape ``(n_cells,)``.
    n_groups, n_genes
        Shape of the result.

    Returns
    -------
    tuple
        Two arrays of shape ``(n_groups, n_genes)``.
    """
    sums, squares = np.zeros((n_groups, n_genes)), np.zeros((n_groups, n_genes))
    start = 0
    for block in blocks:
        cells = sparse.csr_matrix(block, dtype=np.float64)
        group = codes[start : start + cells.shape[0]]
        start += cells.shape[0]
        member = np.flatnonzero(group >= 0)
        belongs = sparse.csr_matrix((np.ones(len(member)), (group[member], member)), shape=(n_groups, cells.shape[0]))
        sums += (belongs @ cells).toarray()
        squares += (belongs @ cells.multiply(cells)).toarray()
    return sums, squares
