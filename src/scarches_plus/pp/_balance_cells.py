"""Subsample cells to balance combinations of annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._cells import column_not_found, column_of, require_sound_cells
from scarches_plus._logging import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData


def balance_cells(
    adata: AnnData,
    keys: str | Sequence[str],
    n: int,
    *,
    rng: int | np.random.Generator | None = 0,
    copy: bool = False,
) -> AnnData | None:
    """Keep at most ``n`` random cells of every combination of some annotations.

    A stratum is a combination of values that occurs, such as one cell type in one tissue of one study. Large strata
    are sampled without replacement and small ones kept whole, so that no study, tissue or type dominates a reference.
    BA-scVI balanced its benchmark in this way [1]_.

    Parameters
    ----------
    adata
        Cells, changed in place as :func:`scanpy.pp.sample` does. Cells keep their order.
    keys
        One or more ``obs`` columns that span the strata, such as ``["study", "tissue", "cell_type"]``.
    n
        Cells to keep of each stratum at most.
    rng
        Seed or generator; the same seed keeps the same cells. ``None`` draws a fresh seed.
    copy
        Return the kept cells as a copy and leave ``adata`` as it is.

    Returns
    -------
    AnnData or None
        The kept cells, or ``None`` if ``adata`` was changed.

    Raises
    ------
    KeyError
        If a column does not exist.
    ValueError
        If there is no key, ``n`` is not a whole number of at least 1, or a column has missing values.
    NotImplementedError
        If ``adata`` is backed by a file and would be changed in place.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    .. [1] Díaz-Mejía et al. (2025), Adversarial learning enables unbiased organism-wide cross-species alignment of
       single-cell RNA data at scale: "we balanced dataset representation by stratifying cell types from each tissue
       type in each dataset".

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(1000, n_types=4)
    >>> sp.pp.balance_cells(adata, ["batch", "cell_type"], n=20)
    >>> adata.n_obs
    160
    """
    check.cells("adata", adata)
    columns = list(dict.fromkeys(check.names("keys", keys, or_one=True, least=1)))
    n = check.whole("n", n, least=1)
    check.seed("rng", rng)
    check.flags(copy=copy)
    unknown = [column for column in columns if column not in adata.obs]
    if unknown:
        raise KeyError(column_not_found(adata.obs, unknown))
    if adata.isbacked and not copy:
        message = "adata is backed by a file, which cannot lose cells; pass copy=True"
        raise NotImplementedError(message)
    require_sound_cells(adata)
    for column in columns:
        column_of(adata.obs, column)
    strata = adata.obs[columns]
    missing = strata.isna().sum()
    if missing.any():
        message = (
            f"missing values in adata.obs: {missing[missing > 0].to_dict()}; name them (for example 'unknown') or "
            "leave these cells out"
        )
        raise ValueError(message)
    kept = _kept(strata, n, np.random.default_rng(rng))
    logger.info("kept %d of %d cells", kept.sum(), len(kept))
    if copy:
        return adata[kept].to_memory() if adata.isbacked else adata[kept].copy()
    adata._inplace_subset_obs(kept)
    return None


def _kept(strata: pd.DataFrame, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return whether each cell is among the first ``n`` of its stratum in a random order, shape ``(n_cells,)``."""
    order = rng.permutation(len(strata))
    stratum = strata.groupby(strata.columns.tolist(), observed=True).ngroup().iloc[order]
    kept = np.empty(len(strata), dtype=bool)
    kept[order] = (stratum.groupby(stratum.to_numpy()).cumcount() < n).to_numpy()
    return kept
