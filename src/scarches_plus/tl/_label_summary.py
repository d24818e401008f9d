"""Count accepted, uncertain and novel cells by label."""

from __future__ import annotations

import pandas as pd

from scarches_plus import _arguments as check


def label_summary(explanation: pd.DataFrame) -> pd.DataFrame:
    """Count by label how many cells were accepted, how many not, and why.

    Parameters
    ----------
    explanation
        Result of :func:`explain_labels`.

    Returns
    -------
    pandas.DataFrame
        A row for each best label, the most frequent first: ``n_cells``; ``accepted``, ``uncertain`` and ``novel``
        cells; median ``probability``; ``rival``, the second label that uncertain cells of the label have most often
        (missing without any). Cells none of whose neighbours has a label are left out.

    Raises
    ------
    ValueError
        If the table is no explanation.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    needed = ["label", "reason", "probability"]
    check.table("explanation", explanation, needed, numbers=["probability"], made_by="sp.tl.explain_labels")
    cells = explanation[explanation["label"].notna()]
    counts = pd.crosstab(cells["label"].astype(str), cells["reason"].astype(str))
    table = pd.DataFrame({"n_cells": counts.sum(axis=1)})
    for reason in ("accepted", "uncertain", "novel"):
        table[reason] = counts.get(reason, 0)
    table["probability"] = cells["probability"].groupby(cells["label"].astype(str)).median()
    if "second_label" in cells:
        doubted = cells[(cells["reason"] == "uncertain").to_numpy() & cells["second_label"].notna().to_numpy()]
        rivals = pd.crosstab(doubted["label"].astype(str), doubted["second_label"].astype(str))
        table["rival"] = rivals.idxmax(axis=1) if len(rivals) else None
    table.index.name = "label"
    return table.sort_values("n_cells", ascending=False, kind="stable")
