"""Compare clusterings and labels by the adjusted Rand index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._cells import column_not_found, names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData


def cluster_agreement(adata: AnnData, clusters: str | Sequence[str], labels: str | Sequence[str]) -> pd.DataFrame:
    """Compare clusters with labels, or with other clusters, by the adjusted Rand index.

    Parameters
    ----------
    adata
        Cells.
    clusters, labels
        ``obs`` columns, one or several.

    Returns
    -------
    pandas.DataFrame
        Adjusted Rand index, one row per clustering and one column per labels: 1 where they group cells alike, 0 on
        average by chance. Of every pair, cells without a value in either column are left out.

    Raises
    ------
    KeyError
        If a column does not exist.
    ValueError
        If no cell has a value in both columns of a pair.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    Hubert and Arabie 1985; BA-scVI (Díaz-Mejía et al. 2025), Fig. 4a.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(100, n_types=3)
    >>> sp.tl.cluster_agreement(adata, "cell_type", ["cell_type"])
               cell_type
    cell_type        1.0
    """
    check.cells("adata", adata)
    clusters = check.names("clusters", clusters, or_one=True, least=1)
    labels = check.names("labels", labels, or_one=True, least=1)
    unknown = [key for key in [*clusters, *labels] if key not in adata.obs]
    if unknown:
        raise KeyError(column_not_found(adata.obs, unknown))
    scores = [[_agreement(adata.obs[a], adata.obs[b]) for b in labels] for a in clusters]
    return pd.DataFrame(scores, index=clusters, columns=labels, dtype=float)


def _agreement(first: pd.Series, second: pd.Series) -> float:
    from sklearn.metrics import adjusted_rand_score

    both = (first.notna() & second.notna()).to_numpy()
    if not both.any():
        message = f"no cell has a value in both obs[{first.name!r}] and obs[{second.name!r}]"
        raise ValueError(message)
    return float(adjusted_rand_score(names_of(first[both]), names_of(second[both])))
