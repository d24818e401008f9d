"""Select variable genes study by study, for a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._cells import column_of, counts_layer, counts_of, measured_genes, names_of
from scarches_plus._logging import logger

from ._check_query import require_counts
from ._gene_selection import GeneSelection
from ._genes._match import other_names
from ._genes._variable import MEASURES, Flavor, Join, joined, variable_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

#: How genes of several studies are joined.
JOINS: tuple[Join, ...] = ("rank", "studies", "union")


def select_genes(
    adata: AnnData,
    batch_key: str,
    n: int = 2000,
    *,
    flavor: Flavor = "seurat_v3",
    join: Join = "rank",
    protect: Sequence[str] = (),
    min_studies: int = 1,
    min_cells: int = 50,
    layer: str | None = None,
    inplace: bool = True,
) -> GeneSelection:
    """Select the genes that vary within studies, and join the choices of all studies.

    A gene that merely differs between studies is not taken, as one choice for all cells together would. Each study
    ranks the genes it measured by :func:`scanpy.pp.highly_variable_genes`; the ranks are joined as scanpy does with
    ``batch_key``. Only these genes take part in a reference: ``sp.tl.build_reference(adata[:, selection.genes], ...)``,
    or ``sp.tl.build_reference(adata, ..., n_top_genes=2000)``. Queries need no change.

    Parameters
    ----------
    adata
        Reference cells with raw counts. Receives scanpy's columns of ``var``: ``"highly_variable"``,
        ``"highly_variable_rank"`` (the median rank, 0 first) and ``"highly_variable_nbatches"``.
    batch_key
        ``obs`` column of studies or batches.
    n
        Genes to select, protected ones aside; with ``join="union"`` genes of each study.
    flavor
        ``"seurat_v3"`` ranks by the variance that the mean does not explain, from counts. ``"seurat"`` and
        ``"cell_ranger"`` rank by the dispersion of normalised values, as the scArches [1]_ and scANVI [2]_ papers did.
    join
        ``"rank"``: lowest median rank, among genes of equal rank those that vary in more studies (scanpy's
        ``seurat_v3``). ``"studies"``: genes that vary in most studies, then by median rank (``seurat_v3_paper``;
        prefers genes that every study measured). ``"union"``: the first `n` genes of every study; 1,000 in the scANVI
        paper.
    protect
        Genes to keep whatever their rank, such as markers.
    min_studies
        Select only genes that at least so many studies measured, as :func:`concat_studies` recorded it.
    min_cells
        Studies of fewer cells rank no genes.
    layer
        Layer with raw counts; ``None`` means ``X``.
    inplace
        Write into ``adata.var``; ``False`` only returns the selection.

    Returns
    -------
    GeneSelection
        Printable; ``.genes``, ``.table`` (why each gene was kept) and ``.ranks`` (genes x studies).

    Raises
    ------
    QueryError
        If the values are no raw counts.
    KeyError
        If the column or layer is missing, or a protected gene is.
    ValueError
        If a cell has no study, no study has enough cells, a study's trend of variance over mean cannot be fitted, fewer
        than `n` genes vary, or a number is out of range.
    TypeError
        If an argument is of another kind.

    Warns
    -----
    UserWarning
        If studies have too few cells to rank genes, naming them; or if protected genes are not measured in every study.

    Notes
    -----
    Studies are read one after the other, also from disk. How many genes to take: :doc:`/guide/build`.

    References
    ----------
    .. [1] Lotfollahi et al. (2020), Query to reference single-cell integration with transfer learning.
    .. [2] Xu et al. (2019), Probabilistic harmonization and annotation of single-cell transcriptomics data with deep
       generative models, "Data preprocessing": the 1,000 genes of highest dispersion of each data set.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(300, 120, n_batches=2)
    >>> selection = sp.pp.select_genes(adata, "batch", 40, protect=["gene0"])
    >>> reference = adata[:, list(selection.genes)]
    """
    check.cells("adata", adata)
    check.texts(batch_key=batch_key)
    n = check.whole("n", n, least=1, most=max(1, adata.n_vars))
    check.choice("flavor", flavor, MEASURES)
    check.choice("join", join, JOINS)
    protect = check.names("protect", protect)
    min_studies = check.whole("min_studies", min_studies, least=1)
    min_cells = check.whole("min_cells", min_cells, least=2)
    check.texts_or_none(layer=layer)
    check.flags(inplace=inplace)
    batches = _studies(adata, batch_key)
    _require_genes(protect, adata.var_names)
    require_counts(adata, layer, batch_key=batch_key)
    sizes = pd.Series(batches).value_counts(sort=False)
    small = {str(name): int(size) for name, size in sizes.items() if size < min_cells}
    _tell_small(small, len(sizes), min_cells)
    recorded = measured_genes(adata, batches)
    everywhere = np.ones((adata.n_vars, len(sizes)), dtype=bool)
    measured = (pd.DataFrame(everywhere, adata.var_names, sizes.index) if recorded is None else recorded)[sizes.index]
    if min_studies > len(sizes):
        message = f"min_studies must be at most {len(sizes)}, the studies in obs[{batch_key!r}], not {min_studies}"
        raise ValueError(message)
    eligible = (measured.sum(axis=1) >= min_studies).to_numpy()

    ranks = pd.DataFrame(np.nan, adata.var_names, [name for name in sizes.index if name not in small])
    for name in ranks:
        ranked = eligible & measured[name].to_numpy()
        counts = counts_of(adata[batches == name], counts_layer(layer, None))[:, ranked]
        ranks.loc[ranked, name] = _ranks(counts, n, flavor, str(name))
    table = joined(ranks, n, join)
    found = int(table["selected"].sum())
    if found < n:
        message = f"only {found} genes vary within a study, fewer than n={n}; pass n={found} or less"
        raise ValueError(message)
    table["n_measured"] = measured.sum(axis=1)
    table["why"] = np.where(table["selected"], "variable", "")
    added = table.index.isin(protect) & ~table["selected"].to_numpy()
    table.loc[added, "selected"] = True
    table.loc[added, "why"] = "protected"
    _tell_unmeasured(table, protect)
    options = {"batch_key": batch_key, "n": n, "flavor": flavor, "join": join}
    selection = GeneSelection(table, ranks, small, options)
    logger.info("%s", selection)
    if inplace:
        adata.var["highly_variable"] = table["selected"].to_numpy()
        adata.var["highly_variable_rank"] = table["rank"].to_numpy()
        adata.var["highly_variable_nbatches"] = table["n_studies"].to_numpy()
    return selection


def _studies(adata: AnnData, batch_key: str) -> np.ndarray:
    """Return the study of every cell."""
    batches = names_of(column_of(adata.obs, batch_key))
    if pd.isna(batches).any():
        message = (
            f"{pd.isna(batches).sum()} cells have no value in obs[{batch_key!r}]; leave them out: "
            f"adata[adata.obs[{batch_key!r}].notna()]"
        )
        raise ValueError(message)
    return np.asarray(batches)


def _require_genes(protect: Sequence[str], genes: pd.Index) -> None:
    if not genes.is_unique:
        message = (
            f"names of genes are not unique, for example {genes[genes.duplicated()][:3].tolist()}; sum or rename them: "
            "adata.var_names_make_unique()"
        )
        raise ValueError(message)
    if absent := [gene for gene in protect if gene not in genes]:
        hint = other_names(genes, absent, "sp.pp.match_gene_names(adata, names), with the names of protect")
        message = f"protect names genes that adata does not have: {absent[:10]}{hint}"
        raise KeyError(message)


def _tell_small(small: dict[str, int], n_studies: int, min_cells: int) -> None:
    if len(small) == n_studies:
        message = f"no study has min_cells={min_cells} cells, the largest {max(small.values(), default=0)}; lower it"
        raise ValueError(message)
    if small:
        message = f"studies of fewer than min_cells={min_cells} cells rank no genes: {small}"
        warn(message, UserWarning, stacklevel=3)


def _ranks(counts: Any, n: int, flavor: Flavor, study: str) -> np.ndarray:
    try:
        return np.asarray(variable_ranks(counts, n, flavor))
    except ValueError as error:  # of the local regression, whose own message says nothing
        n_cells = counts.shape[0]
        message = (
            f"the trend of variance over mean cannot be fitted in study {study!r} ({n_cells} cells; {error}): take "
            f"flavor='seurat', or let studies of its size rank no genes with min_cells={n_cells + 1}"
        )
        raise ValueError(message) from error


def _tell_unmeasured(table: pd.DataFrame, protect: Sequence[str]) -> None:
    lacking = table.index[table.index.isin(protect) & (table["n_measured"] < table["n_measured"].max())]
    if len(lacking):
        message = (
            f"protected genes were not measured by every study: {lacking[:10].tolist()}; the model learns them from "
            "the others"
        )
        warn(message, UserWarning, stacklevel=3)
