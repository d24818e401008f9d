from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._gene_table import read_table
from ._rename_genes import rename_genes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from ._gene_report import GeneReport
    from ._gene_table import Table
    from ._rename_genes import ManyToOne, OneToMany, Unmapped


def map_gene_ids(
    adata: AnnData,
    table: Table,
    *,
    columns: Sequence[str] | None = None,
    many_to_one: ManyToOne = "raise",
    one_to_many: OneToMany = "raise",
    unmapped: Unmapped = "drop",
    strip_version: bool = False,
    layer: str | None = None,
) -> tuple[AnnData, GeneReport]:
    """Give genes the names that a table has for them, such as symbols for Ensembl ids, and report what was lost.

    Parameters
    ----------
    adata
        Cells with raw counts. It is not changed.
    table
        Old name to new name: a mapping or :class:`~pandas.Series` (such as a column of ``adata.var``), a DataFrame, or the
        path of a csv or tsv file with a header. Rows with a missing or empty name do not count.
    columns
        Columns with the old and the new names; ``None`` if the table has two.
    many_to_one
        Where several genes of ``adata`` come to share a name: ``"raise"``, or ``"sum"`` their counts.
    one_to_many
        Where the table has several new names for a gene: ``"raise"``, take the ``"first"``, or ``"drop"`` the gene.
    unmapped
        ``"drop"`` or ``"keep"`` genes that the table lacks.
    strip_version
        Ignore versions of Ensembl ids, ``ENSG00000141510.12`` being ``ENSG00000141510``.
    layer
        Layer with raw counts; ``None`` means ``X``. The result holds the counts in ``X`` and under the same name.

    Returns
    -------
    renamed : AnnData
        Counts on the new names, in the order of the genes of ``adata``, with copies of ``obs``, ``obsm`` and ``uns``, what
        :func:`concat_studies` recorded, and the row of ``var`` of the first gene of each name. Sparse counts stay sparse.
    report : GeneReport
        Printable: what was mapped, lost, summed or ambiguous.

    Raises
    ------
    ValueError
        If the table names none of the genes, or names clash and neither ``many_to_one`` nor ``one_to_many`` allows it.
    KeyError
        If the layer or a column does not exist.
    TypeError
        If the table is of no known kind.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(100, 3)
    >>> renamed, report = sp.pp.map_gene_ids(adata, {"gene0": "GAPDH", "gene1": "ACTB"})
    >>> renamed.var_names.tolist(), report.lost
    (['GAPDH', 'ACTB'], ('gene2',))
    """
    check.cells("adata", adata)
    columns = None if columns is None else check.names("columns", columns, least=2)
    check.choice("many_to_one", many_to_one, ("raise", "sum"))
    check.choice("one_to_many", one_to_many, ("raise", "first", "drop"))
    check.choice("unmapped", unmapped, ("drop", "keep"))
    check.flags(strip_version=strip_version)
    check.texts_or_none(layer=layer)
    return rename_genes(
        adata,
        read_table(table, columns, strip_versions=strip_version),
        many_to_one=many_to_one,
        one_to_many=one_to_many,
        unmapped=unmapped,
        strip_versions=strip_version,
        layer=layer,
    )
