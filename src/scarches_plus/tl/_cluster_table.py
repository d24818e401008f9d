"""Tabulate the composition of clusters, and which of them pass filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._cells import column_not_found, counts_layer, row_blocks, stored_counts
from scarches_plus.pp import require_counts

from ._groups._expression_sums import BLOCK, grouped_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

#: Genes that mark dying cells and batch effects, by the beginning of their names.
_PREFIXES = {"mitochondrial": ("MT-",), "ribosomal": ("RPS", "RPL")}
#: Marker genes of a cluster that are looked at, as in the paper.
_MARKERS = 25


def cluster_table(
    adata: AnnData,
    cluster_key: str = "cluster",
    columns: str | Sequence[str] = (),
    *,
    min_cells: int = 1,
    min_values: Mapping[str, int] | None = None,
    gene_shares: bool = False,
    max_enrichment: float | None = None,
    max_marker_share: float | None = None,
    layer: str | None = None,
) -> pd.DataFrame:
    """Tabulate clusters: cells, batches, tissues, labels, and whether they pass the filters.

    Parameters
    ----------
    adata
        Clustered cells.
    cluster_key
        ``obs`` column of the clusters. Cells without one are left out.
    columns
        Other ``obs`` columns to count, such as ``["batch", "tissue", "cell_type"]``.
    min_cells
        Cells of a cluster from which on a value of a column counts as present in it.
    min_values
        Keep clusters with at least so many values of a column: ``{"batch": 2, "tissue": 10}``.
    gene_shares
        Also average over cells which share of the counts is of mitochondrial (``MT-``) and of ribosomal (``RPS``,
        ``RPL``) genes, by the beginning of names in upper or lower case.
    max_enrichment
        Keep clusters whose mean share of either is at most so many times that of all clustered cells. Implies
        ``gene_shares``.
    max_marker_share
        Keep clusters of whose marker genes (:func:`rank_genes` of ``cluster_key``, the first 25) at most this share is
        mitochondrial or ribosomal: artefacts by differential expression. Clusters without markers are kept.
    layer
        Layer with counts; ``None`` or ``"X"`` means ``X``. Read for ``gene_shares`` only.

    Returns
    -------
    pandas.DataFrame
        One row per cluster, in the order of its categories. ``n_cells``; for every column, say ``batch``: ``n_batch``
        values present, ``top_batch`` the most frequent and ``share_batch`` its share of the cells with a value; with
        ``gene_shares`` ``mitochondrial_share``, its ratio to all cells ``mitochondrial_enrichment``, and the same for
        ``ribosomal``; with ``max_marker_share`` the ``artefact_marker_share``; ``kept``.

    Raises
    ------
    KeyError
        If a column or the layer does not exist, or there are no markers of ``cluster_key``.
    ValueError
        If no cell has a cluster, or no gene is mitochondrial or ribosomal by its name.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    BA-scVI (Díaz-Mejía et al. 2025), Fig. 4 and Methods, "Filtering of artifactual clusters". The paper counts values
    of more than 20 or 50 cells and does not print its bound on enrichment.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(200, n_types=3)
    >>> table = sp.tl.cluster_table(adata, "cell_type", "batch", min_cells=20, min_values={"batch": 2})
    >>> kept = table.index[table["kept"]]
    """
    check.cells("adata", adata)
    check.texts(cluster_key=cluster_key)
    check.texts_or_none(layer=layer)
    columns = check.names("columns", columns, or_one=True)
    check.distinct(cluster_key=cluster_key, columns=columns)
    min_cells = check.whole("min_cells", min_cells, least=1)
    for key, least in check.mapping("min_values", min_values or {}).items():
        check.whole(f"min_values[{key!r}]", least, least=0)
    check.flags(gene_shares=gene_shares)
    if max_enrichment is not None:
        check.number("max_enrichment", max_enrichment, above=0)
    if max_marker_share is not None:
        check.number("max_marker_share", max_marker_share, least=0, most=1)
    minima = dict(min_values or {})
    keys = list(dict.fromkeys([*columns, *minima]))
    if unknown := [key for key in [cluster_key, *keys] if key not in adata.obs]:
        raise KeyError(column_not_found(adata.obs, unknown))
    clusters = pd.Categorical(adata.obs[cluster_key]).remove_unused_categories()
    if not len(clusters.categories):
        message = f"no cell has a cluster in obs[{cluster_key!r}]"
        raise ValueError(message)
    codes = np.asarray(clusters.codes, dtype=np.int64)
    table = pd.DataFrame(index=pd.Index(clusters.categories, name=cluster_key))
    table["n_cells"] = np.bincount(codes[codes >= 0], minlength=len(table))
    for key in keys:
        for name, values in _composition(codes, len(table), adata.obs[key], min_cells).items():
            table[f"{name}_{key}"] = values
    kept = np.ones(len(table), dtype=bool)
    for key, least in minima.items():
        kept &= (table[f"n_{key}"] >= least).to_numpy()
    if gene_shares or max_enrichment is not None:
        for name, (share, enrichment) in _gene_shares(adata, layer, codes, len(table)).items():
            table[f"{name}_share"], table[f"{name}_enrichment"] = share, enrichment
            if max_enrichment is not None:
                kept &= ~(enrichment > max_enrichment)
    if max_marker_share is not None:
        table["artefact_marker_share"] = _marker_shares(adata, cluster_key, table.index)
        kept &= ~(table["artefact_marker_share"] > max_marker_share).to_numpy()
    return table.assign(kept=kept)


def _marker_shares(adata: AnnData, cluster_key: str, clusters: pd.Index) -> list[float]:
    """Return which share of every cluster's first markers is mitochondrial or ribosomal; NaN without markers."""
    ranked = adata.uns.get("rank_genes_groups")
    if ranked is None or ranked["params"].get("groupby") != cluster_key:
        message = f"there are no markers of obs[{cluster_key!r}]: call sp.tl.rank_genes(adata, {cluster_key!r}) first"
        raise KeyError(message)
    prefixes = tuple(prefix for kind in _PREFIXES.values() for prefix in kind)
    names = ranked["names"]
    shares = []
    for cluster in map(str, clusters):
        markers = list(names[cluster][:_MARKERS]) if cluster in names.dtype.names else []
        is_artefact = [str(gene).upper().startswith(prefixes) for gene in markers]
        shares.append(float(np.mean(is_artefact)) if markers else np.nan)
    return shares


def _composition(codes: np.ndarray, n_clusters: int, column: pd.Series, min_cells: int) -> dict[str, np.ndarray]:
    """Return number of values, most frequent value (``None`` without any) and its share, of every cluster."""
    values = pd.Categorical(column)
    known = (codes >= 0) & (values.codes >= 0)
    shape = n_clusters, max(1, len(values.categories))
    flat = codes[known] * shape[1] + values.codes[known]
    counts = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
    total, top = counts.sum(axis=1), counts.max(axis=1)
    names = np.array([*values.categories, None], dtype=object)
    return {
        "n": (counts >= max(1, min_cells)).sum(axis=1),
        "top": names[np.where(total > 0, counts.argmax(axis=1), -1)],
        "share": np.divide(top, total, out=np.full(n_clusters, np.nan), where=total > 0),
    }


def _gene_shares(
    adata: AnnData, layer: str | None, codes: np.ndarray, n_clusters: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the mean share of kinds of genes in every cluster, and its ratio to that of all clustered cells."""
    upper = adata.var_names.astype(str).str.upper()
    chosen = {name: np.array([gene.startswith(prefixes) for gene in upper]) for name, prefixes in _PREFIXES.items()}
    if not any(genes.any() for genes in chosen.values()):
        message = (
            f"no gene begins with MT-, RPS or RPL (the first are {list(adata.var_names[:3])}): gene names must be "
            "symbols, see sp.pp.map_gene_ids"
        )
        raise ValueError(message)
    kinds = np.stack(list(chosen.values()), axis=1).astype(np.float64)
    require_counts(adata, layer, scaled="warning", stacklevel=4)
    counts = stored_counts(adata, counts_layer(layer, None))
    blocks = (_shares(block, kinds) for block in row_blocks(counts, BLOCK))
    sums, _ = grouped_sums(blocks, codes, n_clusters, len(chosen))
    n_cells = np.bincount(codes[codes >= 0], minlength=n_clusters)
    share, overall = sums / n_cells[:, None], sums.sum(axis=0) / n_cells.sum()
    enrichment = np.divide(share, overall, out=np.full_like(share, np.nan), where=overall > 0)
    return {name: (share[:, i], enrichment[:, i]) for i, name in enumerate(chosen)}


def _shares(block: Any, kinds: np.ndarray) -> np.ndarray:
    """Return the share of every kind of genes in the counts of every cell, 0 in cells without a count."""
    total = np.asarray(block.sum(axis=1), dtype=np.float64).reshape(-1, 1)
    of_kind = np.asarray(block @ kinds)
    return np.divide(of_kind, total, out=np.zeros_like(of_kind), where=total > 0)
