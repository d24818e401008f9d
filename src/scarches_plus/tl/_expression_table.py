"""Average the expression of genes by two annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._cells import column_not_found, column_of, counts_layer, row_blocks, stored_counts
from scarches_plus.pp import require_counts

from ._groups._expression_sums import BLOCK, grouped_sums, log_normalized

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

#: Column of the table with the number of cells.
N_CELLS = "n_cells"


def expression_table(
    adata: AnnData,
    rows: str,
    columns: str,
    *,
    genes: str | Sequence[str],
    layer: str | None = None,
    min_cells: int = 1,
) -> pd.DataFrame:
    r"""Average the expression of genes over the cells of every type in every tissue, or of any two annotations.

    Expression is :math:`\log(1 + 10^4 x / \sum x)` of raw counts, with the sum over all genes of ``adata``.

    Parameters
    ----------
    adata
        Cells with raw counts.
    rows, columns
        ``obs`` columns, such as ``"cell_type"`` and ``"tissue"``. Cells without a value in either are left out.
    genes
        Names of genes.
    layer
        Layer with raw counts; ``None`` or ``"X"`` means ``X``.
    min_cells
        Leave out combinations of fewer cells.

    Returns
    -------
    pandas.DataFrame
        One row per combination that occurs, with the number of cells in ``n_cells`` and the mean of every gene. For a
        heatmap of one gene: ``table["C1QA"].unstack()``.

    Raises
    ------
    KeyError
        If a column, a gene or the layer does not exist.
    ValueError
        If names of genes are not unique, rows and columns are the same, one of them or a gene is called ``n_cells``, a
        gene is called as one of them, or counts are negative or missing.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If counts are not whole numbers.

    References
    ----------
    BA-scVI (Díaz-Mejía et al. 2025), Methods, "Heatmaps of Complement Pathway expression".

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(200, n_types=3)
    >>> table = sp.tl.expression_table(adata, "cell_type", "batch", genes=["gene0"])
    """
    check.cells("adata", adata)
    check.texts(rows=rows, columns=columns)
    check.distinct(rows=rows, columns=columns)
    genes = check.names("genes", genes, or_one=True, least=1)
    check.texts_or_none(layer=layer)
    min_cells = check.whole("min_cells", min_cells, least=1)
    if missing := [key for key in (rows, columns) if key not in adata.obs]:
        raise KeyError(column_not_found(adata.obs, missing))
    wanted = list(dict.fromkeys(genes))
    _require_free_names(rows, columns, wanted)
    at = _positions(adata, wanted)

    by = [column_of(adata.obs, key).astype("category") for key in (rows, columns)]
    table = pd.DataFrame({rows: by[0], columns: by[1]})
    groups = table.groupby([rows, columns], observed=True, sort=True)
    n_cells = groups.size()
    codes = groups.ngroup().fillna(-1).astype(int).to_numpy()
    require_counts(adata, layer, scaled="warning")
    counts = stored_counts(adata, counts_layer(layer, None))
    blocks = (block[:, at] for block in log_normalized(row_blocks(counts, BLOCK)))
    sums, _ = grouped_sums(blocks, codes, len(n_cells), len(wanted))
    means = pd.DataFrame(sums / n_cells.to_numpy()[:, None], index=n_cells.index, columns=wanted)
    means.insert(0, N_CELLS, n_cells)
    return means[means[N_CELLS] >= min_cells]


def _require_free_names(rows: str, columns: str, genes: list[str]) -> None:
    """Refuse what would be two columns of one name in the table."""
    if N_CELLS in (rows, columns):
        message = f"obs[{N_CELLS!r}] would be in the table beside the number of cells, {N_CELLS}; rename the column"
        raise ValueError(message)
    if taken := [gene for gene in genes if gene in {N_CELLS, rows, columns}]:
        message = (
            f"genes {taken} are called as other columns of the table, {[rows, columns, N_CELLS]}; rename the obs "
            "column, or leave these genes out"
        )
        raise ValueError(message)


def _positions(adata: AnnData, genes: list[str]) -> np.ndarray:
    if not adata.var_names.is_unique:
        message = "names of genes are not unique: call adata.var_names_make_unique() first"
        raise ValueError(message)
    at = adata.var_names.get_indexer(genes)
    if (at < 0).any():
        lacking = [gene for gene, i in zip(genes, at, strict=True) if i < 0]
        message = f"genes {lacking} not found in adata.var_names, such as {list(adata.var_names[:3])}"
        raise KeyError(message)
    return at
