"""Report what was found of a reference, and of a query against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus._files import check_output_file, write_file
from scarches_plus._html import heading, listing, page, table_of
from scarches_plus._text import for_html, for_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from scarches_plus.pp import Problem


@dataclass(frozen=True, eq=False, repr=False)
class ReferenceAssessment:
    """Whether a reference is fit to be mapped onto, and what to do next.

    Result of :func:`assess_reference`.

    Attributes
    ----------
    verdict
        One sentence, beginning with ``"good"``, ``"usable with care"``, ``"not ready"`` or ``"not judged"``, and what
        holds for the query.
    findings
        Everything found, worst first: ``severity``, ``message``, and ``fix``, the next step.
    studies
        One row for each study: ``study``, ``n_cells``; ``n_compared``, cells whose label other studies have, too;
        ``accuracy``, the share of these that the other studies label alike; ``mixing``, neighbours from other studies
        as a share of what even mixing gives (0 apart, 1 even).
    labels
        One row for each label: ``label``, ``n_cells``, ``n_studies``; ``accuracy`` and ``mixing`` of its cells; for
        labels of one study ``strangers``, the share of their neighbours that are of other studies.
    disagreements
        Labels of a study that other studies call otherwise: ``study``, ``label``, ``n_cells``; ``agree``, the share
        that they label alike (missing where they lack the label); ``others_say`` and its ``share``; ``back``, the share
        of the others' cells of that label that the study gives this one; ``kind``: ``"swapped"`` with that label,
        ``"other name"`` for it, ``"coarser"`` than those, ``"among"`` it though the others lack the label,
        ``"disputed"``, or ``"follows"`` where that is because of another study.
    confusable
        With a query: labels that its genes tell apart worse than all genes do: ``label``, ``other``; ``confused``, the
        share of held-out cells of the label that get the other by the query's genes, and ``with_all_genes``.
    query
        What was measured of a query, empty without one.
    notes
        What could not be judged, or is only worth knowing.
    options
        What was asked for.
    """

    verdict: str
    findings: tuple[Problem, ...]
    studies: pd.DataFrame
    labels: pd.DataFrame
    disagreements: pd.DataFrame
    confusable: pd.DataFrame
    query: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True if there is nothing worse than a warning."""
        return all(finding.severity == "warning" for finding in self.findings)

    def to_html(self, path: str | Path) -> None:
        """Write one page that needs no other file: verdict, findings and tables.

        Parameters
        ----------
        path
            File to write (.html); it appears whole or not at all.

        Raises
        ------
        ValueError
            If its name ends otherwise.
        OSError
            If it cannot be written there.
        """
        check_output_file(check.path("path", path), suffixes=(".html", ".htm"))
        parts = [f"<p><strong>{for_html(self.verdict)}</strong></p>"]
        parts += [
            f"<p>{for_html(f'{one.severity}: {one.message}.')}<br><em>{for_html(f'Next: {one.fix}.')}</em></p>"
            for one in self.findings
        ]
        parts += [f"<p>{for_html(note)}</p>" for note in self.notes]
        if self.query:
            parts += [heading("Query"), listing(self.query)]
        for title, table in self._tables().items():
            if len(table):
                parts += [heading(title), table_of(table, index=False)]
        write_file(path, page("Assessment of a reference", [*parts, heading("Settings"), listing(self.options)]))

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {
            "Studies, each left out in turn": self.studies,
            "Labels that studies do not agree on": self.disagreements,
            "Labels that the query's genes do not tell apart": self.confusable,
            "Labels": self.labels,
        }

    def __str__(self) -> str:
        lines = [f"{self.verdict}"]
        for one in self.findings:
            lines += [f"- {one.severity}: {one.message}", f"  next: {one.fix}"]
        lines += [f"- {note}" for note in self.notes]
        for name, value in self.query.items():
            lines.append(f"{name}: {value:.3g}" if isinstance(value, float) else f"{name}: {value}")
        return "\n".join(map(for_line, lines))

    def __repr__(self) -> str:
        return str(self)
