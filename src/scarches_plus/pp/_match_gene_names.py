"""Rename genes to the names under which a reference has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check

from ._checks._opened import opened
from ._genes._known import SOURCE
from ._genes._match import kinds, match_genes, other_species
from ._genes._names import as_text, is_missing
from ._genes._rename import sum_genes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, Protocol

    from anndata import AnnData

    from scarches_plus._reference import ReferenceSpec

    from ._gene_report import GeneReport
    from ._genes._rename import Unmapped

    class HasSpec(Protocol):
        @property
        def spec(self) -> ReferenceSpec: ...


def match_gene_names(
    adata: AnnData,
    reference: HasSpec | ReferenceSpec | AnnData | Sequence[str] | str | Path,
    *,
    unmapped: Unmapped = "keep",
    layer: str | None = None,
) -> tuple[AnnData, GeneReport]:
    """Give genes the names under which a reference has them, and report what was changed.

    Names that are equal stay. Others are matched if they differ in blanks or invisible characters, a genome before the
    name (``GRCh38_TP53``), the version of an id, an id and a symbol in one name (``ENSG00000141510_TP53``), letter
    case, punctuation (``HLA.A``), or a number that made names unique, on either side. Symbols, older symbols and
    Ensembl ids of human and mouse are matched by tables that come with the package, and if a column of ``adata.var``
    holds more of the reference's names, it is taken. Genes of another species are never matched by letter case: see
    :func:`map_orthologs`.

    Parameters
    ----------
    adata
        Cells with raw counts. It is not changed.
    reference
        Reference model, what :func:`scarches_plus.load` opens, a spec, cells, or a list of gene names.
    unmapped
        ``"keep"`` or ``"drop"`` genes that the reference lacks. Those without a name (NaN, ``""``) are always dropped.
    layer
        Layer with raw counts; ``None`` means ``X``. The result holds the counts in ``X`` and under the same name.

    Returns
    -------
    renamed : AnnData
        As :func:`map_gene_ids` returns it; counts of genes that get one name are summed.
    report : GeneReport
        Printable: what was changed and why, lost, summed or ambiguous.

    Raises
    ------
    ValueError
        If the reference has none of the genes, however they are spelt.
    KeyError
        If the layer does not exist.
    TypeError
        If ``reference`` is of another kind.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(100, 3)
    >>> adata.var_names = ["TP53 ", "ENSG00000075624.17", "MARCH1"]
    >>> renamed, report = sp.pp.match_gene_names(adata, ["ACTB", "MARCHF1", "TP53"])
    >>> renamed.var_names.tolist()
    ['TP53', 'ACTB', 'MARCHF1']
    """
    check.cells("adata", adata)
    check.choice("unmapped", unmapped, ("keep", "drop"))
    check.texts_or_none(layer=layer)
    names, wanted = as_text(adata.var_names), names_of(opened(reference))
    match = match_genes(adata.var_names, wanted, adata.var)
    mapped = np.array([target is not None for target in match.targets], dtype=bool)
    if not mapped.any():
        raise ValueError(_nothing_matches(names, wanted))
    kept = np.array([not is_missing(name) for name in names], dtype=bool) & ~mapped & (unmapped == "keep")
    targets = [name if keep else target for name, keep, target in zip(names, kept, match.targets, strict=True)]
    return sum_genes(
        adata,
        targets,
        mapped,
        kept=kept,
        many_to_one="sum",
        layer=layer,
        ambiguous=match.ambiguous,
        changes=match.changes,
        table=SOURCE if any("older names" in reason for reason in match.reasons) else None,
    )


def names_of(reference: Any) -> list[str]:
    """Return the gene names of a model, spec, AnnData or list.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    spec = getattr(reference, "spec", reference)
    found = getattr(spec, "var_names", spec)
    if isinstance(found, str | bytes) or not isinstance(found, pd.Index | pd.Series | np.ndarray | list | tuple):
        message = (
            "reference must be a model (sp.model.load opens one), cells or a list of gene names, not "
            f"{check.shown(reference)}"
        )
        raise TypeError(message)
    return as_text(found)


def _nothing_matches(names: list[str], wanted: list[str]) -> str:
    species = other_species(names, wanted)
    hint = (
        f"they are of {species[0]}, the reference is of {species[1]}: see sp.pp.map_orthologs"
        if species
        else "give them names of the reference's kind and species with sp.pp.map_gene_ids(adata, table)"
    )
    return (
        f"the reference ({wanted[:3]}, ...) has none of the genes of adata ({names[:3]}, ...){kinds(names, wanted)}; "
        f"{hint}"
    )
