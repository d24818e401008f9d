"""Find clusters that span tissues in each of several species."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._cells import column_not_found, names_of
from scarches_plus.tl._cluster_table import cluster_table

if TYPE_CHECKING:
    from anndata import AnnData


def conserved_clusters(
    adata: AnnData,
    cluster_key: str = "cluster",
    *,
    by: str = "species",
    spans: str = "tissue",
    min_values: int = 10,
    min_cells: int = 20,
    max_enrichment: float | None = None,
    max_marker_share: float | None = None,
    layer: str | None = None,
) -> pd.DataFrame:
    """Tabulate which clusters span tissues in every species, as in BA-scVI's Fig. 4.

    Parameters
    ----------
    adata
        Clustered cells of all species.
    cluster_key
        ``obs`` column of the clusters.
    by
        ``obs`` column of the groups in each of which a cluster must hold: species, studies, sexes.
    spans
        ``obs`` column of what it must span there: tissues, donors.
    min_values
        Keep clusters with at least so many values of ``spans`` in every group.
    min_cells
        Cells of a cluster and a group from which on a value of ``spans`` counts.
    max_enrichment, max_marker_share, layer
        Leave out artefacts, as :func:`cluster_table` does, by all cells of a cluster.

    Returns
    -------
    pandas.DataFrame
        One row per cluster: ``n_cells``; for every group ``n_cells_{group}`` and ``n_{spans}_{group}``; what
        :func:`cluster_table` says of artefacts, if asked for; ``kept``.

    Raises
    ------
    KeyError
        If a column does not exist, or markers are asked for and there are none.
    ValueError
        If no cell has a cluster, or there are fewer than two groups.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    BA-scVI (Díaz-Mejía et al. 2025), Fig. 4b-c: clusters with cells of 10 tissues or more in mouse and in human; a
    tissue counts from 20 cells on.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(400, n_types=3, n_batches=4)
    >>> adata.obs["species"] = adata.obs["batch"].isin(["batch0", "batch1"]).map({True: "human", False: "mouse"})
    >>> table = sp.tl.conserved_clusters(adata, "cell_type", spans="batch", min_values=2, min_cells=5)
    >>> table["kept"].tolist()
    [True, True, True]
    """
    check.cells("adata", adata)
    check.texts(cluster_key=cluster_key, by=by, spans=spans)
    check.distinct(cluster_key=cluster_key, by=by, spans=spans)
    check.texts_or_none(layer=layer)
    min_values = check.whole("min_values", min_values, least=1)
    min_cells = check.whole("min_cells", min_cells, least=1)
    if max_enrichment is not None:
        check.number("max_enrichment", max_enrichment, above=0)
    if max_marker_share is not None:
        check.number("max_marker_share", max_marker_share, least=0, most=1)
    if unknown := [key for key in (cluster_key, by, spans) if key not in adata.obs]:
        raise KeyError(column_not_found(adata.obs, unknown))
    groups = names_of(adata.obs[by])
    present = sorted(set(groups[~pd.isna(groups)]))
    if len(present) < 2:
        message = f"obs[{by!r}] has {len(present)} groups, and clusters are conserved between two or more"
        raise ValueError(message)
    table = cluster_table(
        adata, cluster_key, max_enrichment=max_enrichment, max_marker_share=max_marker_share, layer=layer
    )
    kept = table.pop("kept")
    counts = {}
    for group in present:
        cells = adata.obs.loc[groups == group, [cluster_key, spans]].dropna()
        sizes = cells.groupby([cluster_key, spans], observed=True).size()
        enough = (sizes >= min_cells).groupby(level=0, observed=True).sum().reindex(table.index, fill_value=0)
        counts[f"n_cells_{group}"] = cells[cluster_key].value_counts().reindex(table.index, fill_value=0)
        counts[f"n_{spans}_{group}"] = enough
        kept = kept & (enough >= min_values)
    return pd.concat([table[["n_cells"]], pd.DataFrame(counts), table.drop(columns="n_cells")], axis=1).assign(
        kept=kept
    )
