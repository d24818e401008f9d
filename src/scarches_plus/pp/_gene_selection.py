"""Report which genes were selected for a reference, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scarches_plus._text import for_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


@dataclass(frozen=True, eq=False)
class GeneSelection:
    """Genes for a reference, and why each was taken.

    Result of :func:`select_genes`.

    Attributes
    ----------
    table
        All genes: ``selected``; ``rank``, the median over the studies that rank the gene, 0 first; ``n_studies`` that
        rank it; ``n_measured``, studies that measured it; ``why`` it was kept, ``"variable"`` or ``"protected"``, empty
        for the others.
    ranks
        Rank in every study, 0 first, NaN beyond its first genes: genes x studies.
    left_out
        Studies that ranked no genes, to their cells.
    options
        What was asked for.
    """

    table: pd.DataFrame = field(repr=False)
    ranks: pd.DataFrame = field(repr=False)
    left_out: Mapping[str, int]
    options: Mapping[str, object]

    @property
    def genes(self) -> tuple[str, ...]:
        """Selected genes, in the order of the cells' genes."""
        return tuple(map(str, self.table.index[self.table["selected"]]))

    def __str__(self) -> str:
        chosen = self.table[self.table["selected"]]
        n_studies = self.ranks.shape[1]
        protected = chosen.index[chosen["why"] == "protected"]
        lines = [
            f"{len(chosen)} of {len(self.table)} genes selected ({self.options['flavor']}, {n_studies} studies joined "
            f"by {self.options['join']})"
        ]
        if len(protected):
            lines.append(f"{len(protected)} of them are kept because they are protected: {_some(protected)}")
        by_studies = chosen["n_studies"].value_counts().sort_index(ascending=False)
        lines += [f"{n} genes vary in {k} of {n_studies} studies" for k, n in by_studies.items() if k]
        if few := int((chosen["n_measured"] < self.table["n_measured"].max()).sum()):
            lines.append(f"{few} genes were not measured by every study")
        lines += [
            f"study {study!r} has {int(self.ranks[study].loc[chosen.index].notna().sum())} of its first "
            f"{int(self.ranks[study].notna().sum())} genes among them"
            for study in self.ranks
        ]
        lines += [f"study {study!r} ranked no genes: it has {n} cells" for study, n in self.left_out.items()]
        return "\n".join(map(for_line, lines))


def _some(names: pd.Index, n: int = 5) -> str:
    return ", ".join(map(str, names[:n])) + (", ..." if len(names) > n else "")
