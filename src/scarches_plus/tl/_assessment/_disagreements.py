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
#: Share of neighbours of studies that lack a label from which the label lies among their cells.
AMONG = 0.2
#: Share of a label's cells that another label must get to be a part of it.
PART = 0.1
#: A dispute of two labels follows from that of another study that is surer by so much.
SURER = 0.2
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
        What they say most, and of what share of the cells; studies that have the label have one vote each.
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
    strangers: Mapping[tuple[int, int], float],
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
        Study and label to the share of its neighbours that are of studies without the label.
    names
        Of studies and of labels.
    same
        Whether two labels agree (one may contain the other).
    min_cells
        Fewer cells of a label in a study say nothing.
    """
    studies, labels = names
    sizes = votes.counts[votes.counts["label"] >= 0].groupby(["study", "label"])["n_cells"].sum()
    keys = [(int(study), int(label)) for study, label in sizes.index]
    owners: dict[int, set[int]] = {}
    for study, label in keys:
        owners.setdefault(label, set()).add(study)
    back = {study: _back(votes.pairs, study) for study in {study for study, _ in keys}}
    many = {key for key in keys if sizes[key] >= min_cells}
    answers = {}
    for study, label in keys:
        voters = owners[label] - {study}
        answers[study, label] = _answer(
            votes, (study, label), {one for one in voters if (one, label) in many} or voters
        )

    def other_names(study: int, label: int) -> dict[int, float]:
        """Return labels that studies without this one give its cells, where the study gives it to theirs."""
        lacking = set(back) - owners[label]
        given = _answer(votes, (study, label), lacking) if lacking else {}
        return {
            one: share
            for one, share in given.items()
            if share >= PART
            and study not in owners.get(one, set())
            and back[study].get(one, (-1, 0.0))[0] == label
            and back[study][one][1] >= MOST
            and not same(labels[label], labels[one])
        }

    found = []
    for study, label in keys:
        n, answer = int(sizes[study, label]), answers[study, label]
        shared, near = len(owners[label]) > 1, strangers.get((study, label), 0.0) >= AMONG
        if n < min_cells or not answer:
            continue
        parts = other_names(study, label) if near else {}
        other = max(answer, key=answer.__getitem__)
        share = answer[other]
        agree = sum(part for vote, part in answer.items() if same(labels[label], labels[vote]))
        say = [other]
        if sum(parts.values()) >= MOST:
            say, share = list(parts), sum(parts.values())
            kind = "coarser" if len(parts) > 1 else "other name"
        elif agree >= MOST or share < MOST / 2 or same(labels[label], labels[other]) or not (shared or near):
            continue
        elif share >= MOST and answers.get((study, other), {}).get(label, 0.0) >= MOST:
            kind = "swapped"
        else:
            kind = "disputed" if shared else "among"
        came_back = back[study].get(say[0], (-1, 0.0))
        found.append(
            Disagreement(
                studies[study], labels[label], n, agree if shared else np.nan,
                SEPARATOR.join(labels[one] for one in say), share, came_back[1] if came_back[0] == label else 0.0, kind,
            )
        )  # fmt: skip
    weight = {labels[label]: (len(having), int(sizes[:, label].sum())) for label, having in owners.items()}
    return pd.DataFrame(_without_consequences(found, weight), columns=list(COLUMNS))


def _answer(votes: LeftOut, key: tuple[int, int], voters: set[int]) -> dict[int, float]:
    """Return what other studies say of a study's label: some with one vote each, or without any all cells together."""
    study, label = key
    if voters:
        pairs = votes.pairs
        rows = pairs[(pairs["study"] == study) & (pairs["label"] == label) & pairs["voter"].isin(voters)]
        shares = rows["n_cells"] / rows.groupby("voter")["n_cells"].transform("sum") / rows["voter"].nunique()
        return dict(shares.groupby(rows["vote"]).sum())
    counts = votes.counts
    rows = counts[(counts["study"] == study) & (counts["label"] == label) & (counts["by_others"] >= 0)]
    return dict(zip(rows["by_others"], rows["n_cells"] / rows["n_cells"].sum(), strict=True))


def _without_consequences(found: list[Disagreement], weight: Mapping[str, tuple[int, int]]) -> list[Disagreement]:
    """Mark what a fault of another study brings about: it votes, too.

    Of two names of one type, that of more studies, then of more cells, is left alone (``weight``).
    """
    coarser = {one.label for one in found if one.kind == "coarser"}
    named = {(one.label, one.others_say) for one in found if one.kind == "other name" and one.others_say not in coarser}
    causes = {"swapped", "other name", "coarser"}
    reasons = [one for one in found if one.kind in causes]
    pairs = {frozenset((one.label, other)) for one in reasons for other in one.others_say.split(SEPARATOR)}
    surest: dict[frozenset[str], float] = {}
    for one in found:
        pair = frozenset((one.label, one.others_say))
        surest[pair] = max(surest.get(pair, 0.0), one.share)

    def follows(one: Disagreement) -> bool:
        pair = frozenset((one.label, one.others_say))
        if one.kind == "other name":
            mirrored = (one.others_say, one.label) in named and weight[one.label] > weight[one.others_say]
            return one.others_say in coarser or mirrored
        return (one.kind == "disputed" and pair in pairs) or (
            one.kind in {"disputed", "swapped"} and one.share + SURER < surest[pair]
        )

    return [one._replace(kind="follows") if follows(one) else one for one in found]


def _back(pairs: pd.DataFrame, study: int) -> dict[int, tuple[int, float]]:
    """Return what a study says most of each label of the others, and of what share of its cells."""
    own = pairs[pairs["voter"] == study]
    found: dict[int, tuple[int, float]] = {}
    for label, rows in own.groupby("label"):
        sizes = rows.groupby("vote")["n_cells"].sum()
        found[int(str(label))] = int(str(sizes.idxmax())), float(sizes.max() / sizes.sum())
    return found
