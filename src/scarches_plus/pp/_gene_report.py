"""Report which genes were renamed, merged or lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scarches_plus._text import for_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True)
class GeneReport:
    """Report of what became of genes when they were renamed.

    Result of :func:`map_gene_ids`, :func:`map_orthologs` and :func:`match_gene_names`.

    Attributes
    ----------
    n_genes, n_mapped, n_result
        Genes before, those of them that the table or the reference gave a name, and genes after.
    lost
        Genes that are not in the result.
    kept
        Genes that the table or the reference lacks and that kept their name.
    merged
        New name to the genes whose counts it sums.
    ambiguous
        Gene to the several new names for it: the first was taken, or the gene is among the lost or kept.
    lost_counts
        Share of all counts that the lost genes held, from 0 to 1.
    changes
        How names differed from those of the reference, to the number of genes.
    table
        Where the names come from, if not from the user.
    """

    n_genes: int
    n_mapped: int
    n_result: int
    lost: tuple[str, ...] = field(repr=False)
    kept: tuple[str, ...] = field(repr=False)
    merged: Mapping[str, tuple[str, ...]] = field(repr=False)
    ambiguous: Mapping[str, tuple[str, ...]] = field(repr=False)
    lost_counts: float
    changes: Mapping[str, int] = field(default_factory=dict, repr=False)
    table: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        lines = [
            f"{self.n_mapped} of {self.n_genes} genes mapped, {self.n_result} genes in the result",
            f"{len(self.lost)} genes lost, with {self.lost_counts:.1%} of the counts{_some(self.lost)}",
        ]
        lines += [f"{n} names changed: {what}" for what, n in self.changes.items()]
        several = [f"{target} = {' + '.join(sources)}" for target, sources in self.merged.items()]
        unclear = [f"{source} = {' or '.join(targets)}" for source, targets in self.ambiguous.items()]
        for what, names in (
            ("genes kept without a new name", self.kept),
            ("genes sum several", several),
            ("genes have several new names", unclear),
        ):
            if names:
                lines.append(f"{len(names)} {what}{_some(names)}")
        if self.table:
            lines.append(f"names from {self.table}")
        return "\n".join(map(for_line, lines))


def _some(names: Collection[str], n: int = 5) -> str:
    if not names:
        return ""
    return ": " + ", ".join(list(names)[:n]) + (", ..." if len(names) > n else "")
