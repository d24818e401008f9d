"""Define commands about genes of labelled cells: markers, expression."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)
from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import tl
from scarches_plus._arguments import distinct
from scarches_plus._files import write_file
from scarches_plus._text import for_csv
from scarches_plus.cli._app import AS_IT_IS, Count, Reading, Words
from scarches_plus.cli._files._inputs import read_cells, require_columns, require_counts
from scarches_plus.cli._files._outputs import output_file
from scarches_plus.cli._steps import console

if TYPE_CHECKING:
    from anndata import AnnData

#: Cells of a group that are compared, unless all are asked for; the number of BA-scVI's paper.
_SAMPLE = 2000
#: Genes of a group that are printed.
_SHOWN = 8


def markers(
    cells: Path,
    *,
    groupby: str,
    groups: Words = (),
    n_genes: Count = 50,
    layer: str | None = None,
    all_cells: bool = False,
    out: Path,
    reading: Reading = AS_IT_IS,
) -> None:
    """Find marker genes of labels or clusters, to name novel clusters for instance.

    Ranks genes by Welch's t-test of each group against all cells, on log-normalised counts. Writes a table, one row for
    each group and gene, best gene first.

    Parameters
    ----------
    cells
        A file of cells with raw counts.
    groupby
        Column of labels or clusters, such as cell_type_pred or novel_cluster. Cells without one are left out.
    groups
        Groups to find markers of, instead of all.
    n_genes
        Genes of each group.
    layer
        Layer with raw counts; X by default.
    all_cells
        Take all cells of a group, instead of 2,000 at most.
    out
        The .csv file to write.
    """
    out = output_file(out, (".csv",), {"the file of cells": cells, "--columns": reading.columns})
    adata = read_cells(cells, reading)
    require_columns(adata, cells, groupby=groupby)
    require_counts(adata, cells, layer)
    tl.rank_genes(
        adata, groupby, groups=groups or None, layer=layer, n_genes=n_genes, max_cells=None if all_cells else _SAMPLE
    )
    table = _ranked(adata)
    write_file(out, lambda file: for_csv(table).to_csv(file, index=False))
    best = table.groupby("group", sort=False, observed=True)["gene"].agg(lambda genes: ", ".join(genes[:_SHOWN]))
    console.result("markers", table, best.to_string())
    console.wrote(out)


def _ranked(adata: AnnData) -> pd.DataFrame:
    """Return what was ranked as one table."""
    ranked = adata.uns["rank_genes_groups"]
    columns = {
        "gene": "names",
        "score": "scores",
        "log2_fold_change": "logfoldchanges",
        "p_value": "pvals",
        "p_value_adjusted": "pvals_adj",
    }
    groups = {
        group: pd.DataFrame({name: ranked[field][group] for name, field in columns.items()})
        for group in ranked["names"].dtype.names
    }
    return pd.concat(groups, names=["group"]).reset_index("group").reset_index(drop=True)


def expression(
    cells: Path,
    *,
    genes: Words,
    groupby: tuple[str, str],
    layer: str | None = None,
    min_cells: Count = 1,
    out: Path,
    reading: Reading = AS_IT_IS,
) -> None:
    """Average the expression of genes over two columns of the cells, such as types and tissues.

    Expression is the logarithm of normalised counts, log(1 + 10,000 x / sum). Writes a table, one row for each
    combination that occurs.

    Parameters
    ----------
    cells
        A file of cells with raw counts.
    genes
        Names of genes.
    groupby
        Two columns of the cells, such as cell_type_pred batch.
    layer
        Layer with raw counts; X by default.
    min_cells
        Leave out combinations of fewer cells.
    out
        The .csv file to write.
    """
    rows, columns = groupby
    distinct(**{"--groupby": rows, "the second --groupby": columns})
    out = output_file(out, (".csv",), {"the file of cells": cells, "--columns": reading.columns})
    adata = read_cells(cells, reading)
    for column in groupby:
        require_columns(adata, cells, groupby=column)
    require_counts(adata, cells, layer)
    table = tl.expression_table(adata, rows, columns, genes=list(genes), layer=layer, min_cells=min_cells)
    write_file(out, for_csv(table).to_csv)
    console.result("expression", table, table.round(3).to_string())
    console.wrote(out)
