"""Map gene ids to other names by a table, such as Ensembl ids to symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._arguments import choice

from ._genes._known import SOURCE, named, species_of
from ._genes._names import as_text, is_missing, namespace
from ._genes._rename import check_options, rename_genes, sum_genes
from ._genes._table import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from ._gene_report import GeneReport
    from ._genes._known import Species, To
    from ._genes._rename import ManyToOne, OneToMany, Unmapped
    from ._genes._table import Table


def map_gene_ids(
    adata: AnnData,
    table: Table | None = None,
    *,
    to: To | None = None,
    species: Species | None = None,
    columns: Sequence[str] | None = None,
    many_to_one: ManyToOne | None = None,
    one_to_many: OneToMany = "raise",
    unmapped: Unmapped = "drop",
    strip_version: bool = False,
    layer: str | None = None,
) -> tuple[AnnData, GeneReport]:
    """Give genes the names that a table has for them, such as symbols for Ensembl ids, and report what was lost.

    Without a table, genes of human and mouse are recognised by Ensembl id (with or without version), symbol of today or
    before (``MARCH1``, ``FAM46C``), or both joined, and get their other name by tables that come with the package: no
    network is needed.

    Parameters
    ----------
    adata
        Cells with raw counts. It is not changed.
    table
        Old name to new name: a mapping or :class:`~pandas.Series` (such as a column of ``adata.var``), a DataFrame, or
        the path of a csv or tsv file with a header. Rows with a missing or empty name do not count. ``None`` takes the
        tables of the package.
    to
        Without a table: ``"symbol"`` or ``"ensembl"``; ``None`` is the kind that most genes do not have. To the kind
        they have brings names up to date.
    species
        Without a table: ``"human"`` or ``"mouse"``; ``None`` recognises it by the names.
    columns
        Columns with the old and the new names; ``None`` if the table has two.
    many_to_one
        Where several genes of ``adata`` come to share a name: ``"raise"``, or ``"sum"`` their counts. ``None`` raises
        with a table of yours, and sums with those of the package.
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
        Counts on the new names, in the order of the genes of ``adata``, with copies of ``obs``, ``obsm`` and ``uns``,
        what :func:`concat_studies` recorded, and the row of ``var`` of the first gene of each name. Sparse counts stay
        sparse.
    report : GeneReport
        Printable: what was mapped, lost, summed or ambiguous.

    Raises
    ------
    ValueError
        If the table names none of the genes, or names clash and neither ``many_to_one`` nor ``one_to_many`` allows it,
        or the species is not clear.
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
    >>> adata.var_names = ["GAPDH", "MARCH1", "TP53"]
    >>> sp.pp.map_gene_ids(adata)[0].var_names.tolist()
    ['ENSG00000111640', 'ENSG00000145416', 'ENSG00000141510']
    """
    check.cells("adata", adata)
    columns = None if columns is None else check.names("columns", columns, least=2)
    check.flags(strip_version=strip_version)
    check.texts_or_none(layer=layer)
    if table is None:
        if columns is not None:
            message = "columns has no use without a table"
            raise ValueError(message)
        check_options(many_to_one, one_to_many, unmapped)
        names = as_text(adata.var_names)
        if to is None:
            to = "symbol" if namespace(names) == "Ensembl ids" else "ensembl"
        targets = named(names, species_of(names, species), choice("to", to, ("symbol", "ensembl")))
        mapped = np.array([target is not None for target in targets], dtype=bool)
        kept = np.array([not is_missing(name) for name in names], dtype=bool) & ~mapped & (unmapped == "keep")
        return sum_genes(
            adata,
            [name if keep else target for name, keep, target in zip(names, kept, targets, strict=True)],
            mapped,
            kept=kept,
            many_to_one=many_to_one or "sum",
            layer=layer,
            table=SOURCE,
        )
    if to is not None or species is not None:
        message = "to and species have no use with a table of yours, which has the new names"
        raise ValueError(message)
    return rename_genes(
        adata,
        read_table(table, columns, strip_versions=strip_version),
        many_to_one=many_to_one or "raise",
        one_to_many=one_to_many,
        unmapped=unmapped,
        strip_versions=strip_version,
        layer=layer,
    )
