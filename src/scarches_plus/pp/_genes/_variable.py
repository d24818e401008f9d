"""Rank the genes of one study by variability with scanpy, and join the ranks of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from scarches_plus._logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Flavor = Literal["seurat_v3", "seurat", "cell_ranger"]
Join = Literal["rank", "studies", "union"]
#: Measure of variability in scanpy's table, and whether it is of raw counts.
MEASURES: dict[Flavor, tuple[str, bool]] = {
    "seurat_v3": ("variances_norm", True),
    "seurat": ("dispersions_norm", False),
    "cell_ranger": ("dispersions_norm", False),
}
#: Genes below which the local regression has no meaning; with fewer than four, scikit-misc 0.5 ends the process.
_FEWEST = 20
#: Shares of the genes that the local regression takes at a time, scanpy's own first: where many genes of a small study
#: have the same mean, it needs more.
_SPANS = (0.3, 0.6, 1.0)


def variable_ranks(counts: Any, n: int, flavor: Flavor) -> NDArray:
    """Rank genes by variability, 0 first, NaN beyond the first `n` and for genes that do not vary.

    Parameters
    ----------
    counts
        Raw counts of one study, shape ``(n_cells, n_genes)``.
    n
        Genes to rank.
    flavor
        Of :func:`scanpy.pp.highly_variable_genes`; for those of normalised values the counts are normalised.

    Raises
    ------
    ValueError
        If there are too few genes, or the trend of the variance over the mean cannot be fitted.
    """
    import scanpy as sc

    study = AnnData(counts)
    measure, of_counts = MEASURES[flavor]
    if of_counts:
        if (n_there := np.count_nonzero(np.asarray(counts.sum(axis=0)))) < _FEWEST:
            message = f"{n_there} genes have counts, and {_FEWEST} are needed"
            raise ValueError(message)
        options = {"n_top_genes": min(n, study.n_vars), "check_values": False, "inplace": False}
        table = _first_fit(lambda span: sc.pp.highly_variable_genes(study, flavor=flavor, span=span, **options))
    else:
        study.X = study.X.astype("float32")  # the user's counts stay
        sc.pp.normalize_total(study, target_sum=1e4)
        sc.pp.log1p(study)
        table = sc.pp.highly_variable_genes(study, flavor=flavor, inplace=False)
    values = table[measure].where(table["variances" if of_counts else "dispersions"] > 0)
    ranks = values.rank(ascending=False, method="first") - 1
    return ranks.where(ranks < n).to_numpy()


def _first_fit(fit: Callable[[float], pd.DataFrame]) -> pd.DataFrame:
    """Return the fit with the first span that can be fitted."""
    for span in _SPANS[:-1]:
        try:
            return fit(span)
        except ValueError as error:
            logger.info("the trend of variance over mean is fitted to more genes at a time: %s", error)
    return fit(_SPANS[-1])


def joined(ranks: pd.DataFrame, n: int, join: Join) -> pd.DataFrame:
    """Join the ranks of studies.

    Parameters
    ----------
    ranks
        Shape ``(n_genes, n_studies)``, NaN where a gene is not among a study's first `n`.
    n
        Genes to choose; with ``join="union"`` all that have a rank are chosen.
    join
        What decides: the median rank, or the number of studies, each before the other.

    Returns
    -------
    DataFrame
        Of all genes: ``selected``; ``rank``, the median over the studies that rank the gene; ``n_studies`` that do.
    """
    table = pd.DataFrame({"rank": ranks.median(axis=1), "n_studies": ranks.notna().sum(axis=1)})
    by = {"n_studies": False, "rank": True} if join == "studies" else {"rank": True, "n_studies": False}
    order = table.reset_index(drop=True).sort_values(list(by), ascending=list(by.values()), na_position="last")
    first = order.index[order["n_studies"] > 0][: None if join == "union" else n]
    table.insert(0, "selected", pd.RangeIndex(len(table)).isin(first))
    return table
