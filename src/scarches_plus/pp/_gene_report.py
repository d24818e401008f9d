from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scarches_plus._text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True)
class GeneReport:
    """What became of genes when they were renamed: result of :func:`map_gene_ids` and :func:`map_orthologs`.

    Attributes
    ----------
    n_genes, n_mapped, n_result
        Genes before, those of them that the table gave a new name, and genes after.
    lost
        Genes that are not in the result.
    kept
        Genes that the table lacks and that kept their name.
    merged
        New name to the genes whose counts it sums.
    ambiguous
        Gene to the several new names that the table has for it: the first was taken, or the gene is among the lost.
    lost_counts
        Share of all counts that the lost genes held, from 0 to 1.
    """

    n_genes: int
    n_mapped: int
    n_result: int
    lost: tuple[str, ...] = field(repr=False)
    kept: tuple[str, ...] = field(repr=False)
    merged: Mapping[str, tuple[str, ...]] = field(repr=False)
    ambiguous: Mapping[str, tuple[str, ...]] = field(repr=False)
    lost_counts: float

    def __str__(self) -> str:
        lines = [
            f"{self.n_mapped} of {self.n_genes} genes mapped, {self.n_result} genes in the result",
            f"{len(self.lost)} genes lost, with {self.lost_counts:.1%} of the counts{_some(self.lost)}",
        ]
        several = [f"{target} = {' + '.join(sources)}" for target, sources in self.merged.items()]
        unclear = [f"{source} = {' or '.join(targets)}" for source, targets in self.ambiguous.items()]
        for what, names in (
            ("genes kept without a new name", self.kept),
            ("genes sum several", several),
            ("genes have several new names", unclear),
        ):
            if names:
                lines.append(f"{len(names)} {what}{_some(names)}")
        return for_terminal("\n".join(lines))


def _some(names: Collection[str], n: int = 5) -> str:
    if not names:
        return ""
    return ": " + ", ".join(list(names)[:n]) + (", ..." if len(names) > n else "")
