"""Find labels that studies do not agree on, and what kind of disagreement it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._left_out import LeftOut

#: Share of a label's cells that makes an answer of other studies that of the label.
MOST = 0.5
#: Share of neighbours of other studies from which a label of one study lies among their cells.
AMONG = 0.2
SEPARATOR = " | "
COLUMNS = ("study", "label", "n_cells", "agree", "others_say", "share", "back", "kind")


class Disagreement(NamedTuple):
    """A label of a study that the others call otherwise.

    Attributes
    ----------
    study, label, n_cells
        Whose it is.
    agree
        Share of its cells that other studies label alike; NaN where they lack the label.
    others_say, share
        What they say most, and of what share of the cells.
    back
        Share of the others' cells of that label that the study labels ``label``.
    kind
        ``"swapped"``: with the other label of the study. ``"other name"``: each is the other's name for one type.
        ``"coarser"``: it contains several labels of the others. ``"among"``: the others lack the label, and its cells
        lie among theirs. ``"disputed"``: none of these. ``"follows"``: disputed because of another study.
    """

    study: str
    label: str
    n_cells: int
    agree: float
    others_say: str
    share: float
    back: float
    kind: str


def disagreements(
    votes: LeftOut,
    strangers: Mapping[int, float],
    names: tuple[list[str], list[str]],
    same: Callable[[str, str], bool],
    min_cells: int,
) -> pd.DataFrame:
    """Return the labels that studies do not agree on.

    Parameters
    ----------
    votes
        What studies say of each other's cells.
    strangers
        For labels of one study, the share of their neighbours that are of other studies.
    names
        Of studies and of labels.
    same
        Whether two labels agree (one may contain the other).
    min_cells
        Fewer cells of a label in a study say nothing.
    """
    studies, labels = names
    forward = votes.counts[(votes.counts["label"] >= 0) & (votes.counts["by_others"] >= 0)]
    n_studies = votes.counts[votes.counts["label"] >= 0].groupby("label")["study"].nunique()
    top = _top(forward, "by_others")
    said = {
        key: (int(vote), float(share)) for key, vote, share in zip(top.index, top["vote"], top["share"], strict=True)
    }
    found = []
    for key, part in forward.groupby(["study", "label"]):
        study, label = (int(one) for one in key)  # type: ignore[call-overload]
        n, (other, share) = int(part["n_cells"].sum()), said[study, label]
        alike = np.array([same(labels[label], labels[vote]) for vote in part["by_others"]])
        agree = float(part["n_cells"][alike].sum() / n)
        shared = n_studies[label] > 1
        apart = not shared and strangers.get(label, 0.0) < AMONG
        if n < min_cells or agree >= MOST or share < MOST / 2 or apart:
            continue
        back = _back(votes.back, study)
        into = [one for one, (vote, part_of) in back.items() if vote == label and part_of >= MOST and one != label]
        if said.get((study, other), (-1, 0.0))[0] == label and share >= MOST:
            kind = "swapped"
        elif not shared and len(into) > 1:
            kind = "coarser"
        elif not shared and share >= MOST and into == [other] and (study, other) not in said:
            kind = "other name"
        else:
            kind = "disputed" if shared else "among"
        say = [labels[one] for one in into] if kind == "coarser" else [labels[other]]
        came_back = back.get(other, (-1, 0.0))
        found.append(
            Disagreement(
                studies[study], labels[label], n, agree if shared else np.nan, SEPARATOR.join(say), share,
                came_back[1] if came_back[0] == label else 0.0, kind,
            )
        )  # fmt: skip
    return pd.DataFrame(_without_consequences(found), columns=list(COLUMNS))


def _without_consequences(found: list[Disagreement]) -> list[Disagreement]:
    """Mark disputes that a fault of another study brings about: it votes, too."""
    causes = {"swapped", "other name", "coarser"}
    reasons = [one for one in found if one.kind in causes]
    pairs = {frozenset((one.label, other)) for one in reasons for other in one.others_say.split(SEPARATOR)}
    surest: dict[tuple[str, str], float] = {}
    for one in found:
        key = one.label, one.others_say
        surest[key] = max(surest.get(key, 0.0), one.share)

    def follows(one: Disagreement) -> bool:
        known = frozenset((one.label, one.others_say)) in pairs
        return one.kind == "disputed" and (known or surest.get((one.others_say, one.label), 0.0) > one.share)

    return [one._replace(kind="follows") if follows(one) else one for one in found]


def _top(counts: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the most frequent vote on every study's label, and its share."""
    sizes = counts.groupby(["study", "label"])["n_cells"].sum()
    best = counts.sort_values("n_cells", ascending=False, kind="stable").drop_duplicates(["study", "label"])
    best = best.set_index(["study", "label"])
    return pd.DataFrame({"vote": best[column], "share": best["n_cells"] / sizes})


def _back(back: pd.DataFrame, study: int) -> dict[int, tuple[int, float]]:
    """Return what a study says most of each label of the others, and of what share of its cells."""
    top = _top(back[(back["study"] == study) & (back["by_study"] >= 0)], "by_study")
    return {
        int(label): (int(vote), float(share))
        for (_, label), vote, share in zip(top.index, top["vote"], top["share"], strict=True)
    }
