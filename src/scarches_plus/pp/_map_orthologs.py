from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import _arguments as check

from ._gene_names import namespace
from ._gene_table import read_table
from ._rename_genes import rename_genes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from ._gene_report import GeneReport
    from ._gene_table import Table
    from ._rename_genes import ManyToOne, OneToMany, Unmapped


def map_orthologs(
    adata: AnnData,
    table: Table | None = None,
    *,
    columns: Sequence[str] | None = None,
    many_to_one: ManyToOne = "raise",
    one_to_many: OneToMany = "raise",
    unmapped: Unmapped = "drop",
    strip_version: bool = False,
    layer: str | None = None,
) -> tuple[AnnData, GeneReport]:
    """Give genes the names of their orthologues in another species, and report what was lost.

    Then :func:`concat_studies` joins the species. BA-scVI [1]_ trained on human and mouse in this way.

    Parameters
    ----------
    adata
        Cells with raw counts. It is not changed.
    table
        Gene to orthologue, best one to one (Ensembl BioMart and MGI offer such tables): a mapping or
        :class:`~pandas.Series`, a DataFrame, or the path of a csv or tsv file with a header. ``None`` takes upper-cased
        symbols (``Gapdh`` -> ``GAPDH``), which is rough: it keeps genes without an orthologue, misses orthologues of
        another symbol, and takes genes that share a symbol by chance for the same.
    columns
        Columns with the genes of ``adata`` and their orthologues; ``None`` if the table has two.
    many_to_one
        Where several genes of ``adata`` have the same orthologue: ``"raise"``, or ``"sum"`` their counts.
    one_to_many
        Where a gene has several orthologues: ``"raise"``, take the ``"first"`` of the table, or ``"drop"`` the gene.
    unmapped
        ``"drop"`` or ``"keep"`` genes that the table lacks. Genes kept are those of the one species alone.
    strip_version
        Ignore versions of Ensembl ids.
    layer
        Layer with raw counts; ``None`` means ``X``. The result holds the counts in ``X`` and under the same name.

    Returns
    -------
    renamed : AnnData
        As :func:`map_gene_ids` returns it.
    report : GeneReport
        Printable: what was mapped, lost, summed or ambiguous.

    Raises
    ------
    ValueError
        If the table names none of the genes, or names clash and neither ``many_to_one`` nor ``one_to_many`` allows it, or
        Ensembl ids come without a table.
    KeyError
        If the layer or a column does not exist.
    TypeError
        If the table is of no known kind.

    References
    ----------
    .. [1] Díaz-Mejía et al. (2025), Adversarial learning enables unbiased organism-wide cross-species alignment of
       single-cell RNA data at scale.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> mouse = sp.datasets.simulate(100, 3)
    >>> mouse.var_names = ["Gapdh", "Trp53", "Xist"]
    >>> renamed, report = sp.pp.map_orthologs(mouse, {"Gapdh": "GAPDH", "Trp53": "TP53"})
    >>> renamed.var_names.tolist(), report.lost
    (['GAPDH', 'TP53'], ('Xist',))
    """
    check.cells("adata", adata)
    columns = None if columns is None else check.names("columns", columns, least=2)
    check.choice("many_to_one", many_to_one, ("raise", "sum"))
    check.choice("one_to_many", one_to_many, ("raise", "first", "drop"))
    check.choice("unmapped", unmapped, ("drop", "keep"))
    check.flags(strip_version=strip_version)
    check.texts_or_none(layer=layer)
    if table is None:
        if namespace(adata.var_names) == "Ensembl ids":
            message = "genes are Ensembl ids, whose orthologues only a table can tell; pass table=..."
            raise ValueError(message)
        names = adata.var_names.astype(str)
        table = pd.Series(names.str.upper(), index=names)
    return rename_genes(
        adata,
        read_table(table, columns, strip_versions=strip_version),
        many_to_one=many_to_one,
        one_to_many=one_to_many,
        unmapped=unmapped,
        strip_versions=strip_version,
        layer=layer,
    )
