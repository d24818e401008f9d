"""Report the problems of a query, each with its fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scarches_plus import _arguments as check
from scarches_plus._text import for_line


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a query.

    Attributes
    ----------
    severity
        ``"fatal"``: cannot be mapped. ``"error"``: can be mapped, but the result would mislead. ``"warning"``: worth
        knowing.
    message
        What is wrong.
    fix
        What to do.
    """

    severity: Literal["fatal", "error", "warning"]
    message: str
    fix: str

    def __str__(self) -> str:
        return for_line(f"{self.severity}: {self.message}. Fix: {self.fix}")


class QueryError(ValueError):
    """A query cannot be mapped, or not without misleading its user; the message names every problem and its fix."""


@dataclass(frozen=True)
class QueryReport:
    """Result of :func:`check_query`.

    Attributes
    ----------
    problems
        Everything found, worst first.
    n_cells, n_genes
        Size of the query.
    n_reference_genes, n_genes_found
        Genes of the reference, and how many of them the query has; 0 without a model.
    new_batches, shared_batches
        Batches of the query that the reference does not have, and that it has.
    unknown_labels
        Labels of the query that the reference does not know; they are never used.
    """

    problems: tuple[Problem, ...]
    n_cells: int
    n_genes: int
    n_reference_genes: int
    n_genes_found: int
    new_batches: tuple[str, ...]
    shared_batches: tuple[str, ...]
    unknown_labels: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True if there is nothing worse than a warning."""
        return all(problem.severity == "warning" for problem in self.problems)

    def raise_for_problems(self, on_problem: Literal["raise", "warn"] = "raise", *, offer_warn: bool = False) -> None:
        """Raise if the query must not be mapped.

        Parameters
        ----------
        on_problem
            ``"raise"`` stops at errors; ``"warn"`` goes on where mapping is possible at all.
        offer_warn
            Mention ``on_problem="warn"`` in the message.

        Raises
        ------
        QueryError
            Naming every problem and its fix.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.
        """
        check.choice("on_problem", on_problem, ("raise", "warn"))
        check.flags(offer_warn=offer_warn)
        stops = {"fatal", "error"} if on_problem == "raise" else {"fatal"}
        blocking = [problem for problem in self.problems if problem.severity in stops]
        if blocking:
            message = "these cells cannot be used as they are:\n" + "\n".join(f"- {problem}" for problem in blocking)
            if offer_warn and all(problem.severity == "error" for problem in blocking):
                message += "\n(on_problem='warn' maps them nevertheless)"
            raise QueryError(message)

    def __str__(self) -> str:
        lines = (
            [f"cells: {self.n_cells} x {self.n_genes} genes"]
            if not self.n_reference_genes
            else [
                f"query: {self.n_cells} cells x {self.n_genes} genes; "
                f"{self.n_genes_found} of the reference's {self.n_reference_genes} genes found",
                f"new batches: {', '.join(self.new_batches) or 'none'}; "
                f"batches shared with the reference: {', '.join(self.shared_batches) or 'none'}",
            ]
        )
        if self.unknown_labels:
            lines.append(f"labels the reference does not know: {', '.join(self.unknown_labels)}")
        lines += [f"- {problem}" for problem in self.problems] or ["no problems found"]
        return "\n".join(map(for_line, lines))
