"""Map genes to their orthologues in another species."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._arguments import choice

from ._genes._known import SOURCE, SPECIES, name_of, number_of, orthologs, species_of
from ._genes._names import as_text, namespace
from ._genes._rename import check_options, rename_genes
from ._genes._table import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from ._gene_report import GeneReport
    from ._genes._known import Species, To
    from ._genes._rename import ManyToOne, OneToMany, Unmapped
    from ._genes._table import Table


def map_orthologs(
    adata: AnnData,
    table: Species | Table | None = None,
    *,
    to: To | None = None,
    columns: Sequence[str] | None = None,
    many_to_one: ManyToOne | None = None,
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
        The species of ``adata``, ``"mouse"`` (to human) or ``"human"`` (to mouse), for the orthologues that come with
        the package: those that HGNC's curators name, and the one-to-one orthologues of Ensembl. ``None`` recognises the
        species. Or a table of yours from gene to orthologue, best one to one: a mapping or :class:`~pandas.Series`, a
        DataFrame, or the path of a csv or tsv file with a header. Upper case alone (``Gapdh`` -> ``GAPDH``) is no
        orthologue: it keeps genes that have none, misses those of another symbol (mouse *Trp53*, human *TP53*), and
        takes genes that share a symbol by chance for the same; ``{name: name.upper() for name in adata.var_names}`` is
        the table that does it.
    to
        Without a table of yours: ``"symbol"`` or ``"ensembl"``; ``None`` is the kind that most genes have.
    columns
        Columns with the genes of ``adata`` and their orthologues; ``None`` if the table has two.
    many_to_one
        Where several genes of ``adata`` have the same orthologue: ``"raise"``, or ``"sum"`` their counts. ``"sum"``
        without a table of yours adds paralogs (mouse *Ins1* to *Ins2*, human *INS*); ``None`` leaves them out, and
        raises with a table.
    one_to_many
        Where a gene has several orthologues: ``"raise"``, take the ``"first"`` of the table, or ``"drop"`` the gene.
        Without a table of yours, such genes have none, unless it is ``"first"``.
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
        If the table names none of the genes, or names clash and neither ``many_to_one`` nor ``one_to_many`` allows it,
        or the species is not clear, or another than the one named.
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
    >>> human, report = sp.pp.map_orthologs(mouse, "mouse")
    >>> human.var_names.tolist()
    ['GAPDH', 'TP53', 'XIST']
    >>> human, report = sp.pp.map_orthologs(mouse, {"Gapdh": "GAPDH", "Trp53": "TP53"})
    >>> human.var_names.tolist(), report.lost
    (['GAPDH', 'TP53'], ('Xist',))
    """
    check.cells("adata", adata)
    columns = None if columns is None else check.names("columns", columns, least=2)
    check.flags(strip_version=strip_version)
    check.texts_or_none(layer=layer)
    if table is None or (isinstance(table, str) and table in SPECIES):
        if columns is not None:
            message = "columns has no use without a table"
            raise ValueError(message)
        check_options(many_to_one, one_to_many, unmapped)
        names = as_text(adata.var_names)
        species = species_of(names, table if table in SPECIES else None)
        if to is None:
            to = "ensembl" if namespace(names) == "Ensembl ids" else "symbol"
        pairs = _pairs(
            names,
            species,
            choice("to", to, ("symbol", "ensembl")),
            paralogs=many_to_one == "sum",
            several=one_to_many == "first",
        )
        return rename_genes(
            adata,
            pairs,
            many_to_one="sum",  # older and newer names of one gene are added, and paralogs if they are asked for
            one_to_many=one_to_many,
            unmapped=unmapped,
            strip_versions=False,
            layer=layer,
            table=SOURCE,
        )
    if to is not None:
        message = "to has no use with a table of yours, which has the new names"
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


def _pairs(names: list[str], species: Species, to: To, *, paralogs: bool, several: bool) -> pd.DataFrame:
    """Return pairs of names of ``adata`` and of their orthologues."""
    other: Species = "human" if species == "mouse" else "mouse"
    table = orthologs(species, paralogs=paralogs, several=several)
    numbers = pd.DataFrame({"name": names, "source": [number_of(name, species) for name in names]}).dropna()
    pairs = numbers.drop_duplicates("name").merge(table, on="source")
    pairs["target"] = [name_of(number, other, to) for number in pairs["target"]]
    return pairs.dropna()[["name", "target"]].set_axis(["source", "target"], axis=1)
