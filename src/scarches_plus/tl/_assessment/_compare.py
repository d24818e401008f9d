"""Compare the studies of a reference in its embedding: tables of studies, labels and disagreements."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ._disagreements import COLUMNS, disagreements
from ._left_out import leave_out, mixing_by_study, strangers_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scarches_plus._label_tree import LabelTree

#: Cells of a label in a study below which their votes say nothing.
_FEWEST = 10


class Compared(NamedTuple):
    """Tables of studies, labels and disagreements, as in :class:`ReferenceAssessment`."""

    studies: pd.DataFrame
    labels: pd.DataFrame
    disagreements: pd.DataFrame


def compare(
    embedding: NDArray,
    studies: NDArray[np.int64],
    codes: NDArray[np.int64],
    study_names: list[str],
    label_names: list[str],
    *,
    tree: LabelTree | None,
    k: int,
) -> Compared:
    """Compare studies.

    Parameters
    ----------
    embedding
        Shape ``(n_cells, d)``.
    studies, codes
        Positions of each cell's study and label in the names, -1 for no label, shape ``(n_cells,)``.
    study_names, label_names
        Names.
    tree
        Hierarchy in which labels contain one another.
    k
        Neighbours.
    """

    def same(one: str, other: str) -> bool:
        if one == other or tree is None:
            return one == other
        return one in tree.parents and other in tree.parents and (one in tree.path(other) or other in tree.path(one))

    agree = np.array([[same(one, other) for other in label_names] for one in label_names])
    n_studies = _studies_of(studies, codes, agree)
    several = len(study_names) > 1
    votes = leave_out(embedding, studies, codes, len(label_names), k)
    strangers = strangers_around(embedding, studies, codes, k)
    found_labels = (
        disagreements(votes, strangers, (study_names, label_names), same, _FEWEST)
        if several
        else pd.DataFrame(columns=list(COLUMNS))
    )
    by_others = votes.by_others
    if (found_labels["kind"] == "swapped").any():  # which is no fault of the studies that they label
        right_way = _unswapped(studies, codes, found_labels, study_names, label_names)
        by_others = leave_out(embedding, studies, right_way, len(label_names), k).by_others
    shared = (codes < 0) | (n_studies[codes] > 1)
    found, expected = mixing_by_study(embedding, studies, np.where(shared, by_others, -1), k)
    compared = (codes >= 0) & (by_others >= 0) & (n_studies[codes] > 1)
    right = np.where(compared, agree[codes, by_others], np.nan)
    cells = pd.DataFrame(
        {"study": studies, "label": codes, "compared": compared, "right": right, "found": found, "expected": expected}
    )
    of_label = _scores(cells[codes >= 0], "label").reindex(range(len(label_names)))
    alone = {label: share for (_, label), share in strangers.items() if several and n_studies[label] == 1}
    labels = pd.DataFrame(
        {
            "label": label_names,
            "n_cells": of_label["n_cells"].fillna(0).astype(int),
            "n_studies": n_studies,
            "accuracy": of_label["accuracy"],
            "mixing": of_label["mixing"],
            "strangers": [alone.get(label, np.nan) for label in range(len(label_names))],
        }
    )
    of_study = _scores(cells, "study")
    table = pd.DataFrame({"study": [study_names[study] for study in of_study.index]}).join(
        of_study.reset_index(drop=True)[["n_cells", "n_compared", "accuracy", "mixing"]]
    )
    return Compared(table, labels.reset_index(drop=True), found_labels)


def _unswapped(
    studies: NDArray, codes: NDArray, found: pd.DataFrame, study_names: list[str], label_names: list[str]
) -> NDArray[np.int64]:
    """Return the labels with each pair the right way round, in the first study that has it the other way."""
    mended, done = codes.copy(), set()
    for study, label, other in found.loc[found["kind"] == "swapped", ["study", "label", "others_say"]].itertuples(
        index=False
    ):
        pair = frozenset((label, other))
        if pair not in done:
            done.add(pair)
            here = studies == study_names.index(study)
            one, two = label_names.index(label), label_names.index(other)
            mended[here & (codes == one)], mended[here & (codes == two)] = two, one
    return mended


def _scores(cells: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return numbers of cells, agreement and mixing of groups."""
    groups = cells.groupby(by)
    sums = groups[["found", "expected"]].sum(min_count=1)
    return pd.DataFrame(
        {
            "n_cells": groups.size(),
            "n_compared": groups["compared"].sum(),
            "accuracy": groups["right"].mean(),
            "mixing": sums["found"] / sums["expected"],
        }
    )


def _studies_of(studies: NDArray, codes: NDArray, agree: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many studies have each label, or one that agrees with it, shape ``(n_labels,)``."""
    there = np.zeros((len(agree), studies.max(initial=0) + 1), dtype=bool)
    there[codes[codes >= 0], studies[codes >= 0]] = True
    return (agree.astype(int) @ there.astype(int) > 0).sum(axis=1)
