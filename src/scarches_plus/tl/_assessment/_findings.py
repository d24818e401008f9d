"""Judge what was measured of a reference: each finding with its next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus.pp import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

#: Neighbours from other studies, as a share of what even mixing gives, below which a study is apart, or hardly mixes:
#: three technologies of islets, whose labels pass at 0.97 and more, have 0.05 to 0.3.
APART, HARDLY = 0.03, 0.3
#: Share of cells that other studies label alike, below which labels do not pass between studies, or badly.
LOST, POOR = 0.5, 0.75
#: Share of a type's neighbours from other studies from which the type is taken for theirs.
OVER_MIXED = 0.3
#: Labels that a finding names.
_NAMED = 8


def findings_of_studies(studies: pd.DataFrame, disagreements: pd.DataFrame, batch_key: str) -> Iterator[Problem]:
    """Find studies that do not integrate, or whose labels do not pass to them."""
    explained = set(disagreements["study"][~disagreements["kind"].isin(["disputed", "among"])])
    for row in studies.to_dict("records"):
        if not row["mixing"] >= HARDLY and row["mixing"] == row["mixing"]:
            apart = row["mixing"] < APART
            lost = row["accuracy"] < POOR and row["study"] not in explained
            passes = "" if lost or not row["accuracy"] > POOR else f", though labels pass ({row['accuracy']:.0%})"
            yield Problem(
                "error" if apart or lost else "warning",
                f"study {row['study']!r} {'is apart' if apart else 'hardly mixes'}: its cells have "
                f"{row['mixing']:.0%} of the neighbours from other studies that even mixing would give them{passes}",
                f"see that its values are raw counts (sp.pp.check_query) and that obs[{batch_key!r}] tells it from the "
                "others; train with an encoder that sees batches (recipe='scanvi'), for more epochs, or with "
                "penalties=[sp.train.MMD()]; else leave the study out",
            )
        if row["accuracy"] < POOR and row["study"] not in explained:
            yield Problem(
                "error" if row["accuracy"] < LOST else "warning",
                f"other studies label {row['accuracy']:.0%} of the cells of study {row['study']!r} as it does itself",
                "look at its labels in .disagreements; where they are right, train on labels (recipe='scanvi'); where "
                "they are in doubt, leave the study out, or make its labels 'Unknown'",
            )


def findings_of_labels(disagreements: pd.DataFrame, labels: pd.DataFrame, min_cells: int) -> Iterator[Problem]:
    """Find labels that studies do not agree on, types that lie among others, and types of few cells."""
    yield from _swapped(disagreements[disagreements["kind"] == "swapped"])
    strangers = labels.set_index("label")["strangers"]
    for row in disagreements.to_dict("records"):
        study, label, other = row["study"], row["label"], row["others_say"]
        if row["kind"] == "other name":
            yield Problem(
                "error",
                f"{label!r} of study {study!r} is what the others call {other!r} ({row['share']:.0%} one way, "
                f"{row['back']:.0%} back)",
                "give both one name (sp.pp.harmonize_labels shows how studies call their types), and build again",
            )
        elif row["kind"] == "coarser":
            yield Problem(
                "error",
                f"{label!r} of study {study!r} contains what other studies tell apart: {other}",
                "train with a hierarchy that has it above them (sp.pp.label_tree, hierarchy=), or make its label "
                "'Unknown'; left so, queries get either level",
            )
        elif row["kind"] == "among":
            yield Problem(
                "warning",
                f"{label!r}, which study {study!r} alone has, lies among {other!r} of other studies "
                f"({strangers[label]:.0%} of its neighbours are theirs)",
                "if it is a type of its own, the reference mixes too much: train on labels (recipe='scanvi') or with "
                "weaker penalties; if it is a state, give it the name of the type",
            )
        elif row["kind"] == "disputed":
            yield Problem(
                "warning",
                f"other studies call {row['share']:.0%} of {label!r} of study {study!r} {other!r} "
                f"({row['n_cells']} cells)",
                "look at marker genes; rename the label, or make it 'Unknown', if the others are right",
            )
    few = labels[labels["n_cells"] < min_cells]
    if len(few):
        named = [f"{row['label']!r} ({row['n_cells']})" for row in few.to_dict("records")]
        more = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        yield Problem(
            "warning",
            f"labels of fewer than {min_cells} cells, which queries will hardly get: {', '.join(named[:_NAMED])}{more}",
            "add studies that have them, join them with what contains them, or expect their cells to be called "
            "something else or novel",
        )


def _swapped(rows: pd.DataFrame) -> Iterator[Problem]:
    """Find pairs of labels that a study has the other way round; of two studies, each may be the one."""
    by_pair: dict[frozenset[str], list[str]] = {}
    shares: dict[frozenset[str], float] = {}
    for row in rows.to_dict("records"):
        pair = frozenset((row["label"], row["others_say"]))
        by_pair.setdefault(pair, []).append(row["study"])
        shares[pair] = max(shares.get(pair, 0.0), row["share"])
    for pair, studies in by_pair.items():
        one, other = sorted(pair)
        names = " or ".join(map(repr, dict.fromkeys(studies)))
        yield Problem(
            "error",
            f"study {names} has {one!r} and {other!r} the other way round: other studies call up to {shares[pair]:.0%} "
            "of the cells of one by the name of the other",
            "look at marker genes of the two, exchange the labels of the study that is wrong, and build again",
        )


def findings_of_comparison(studies: pd.DataFrame) -> Iterator[Problem]:
    """Find studies of which nothing can be compared: no other study has a label of theirs."""
    alone = studies["study"][studies["n_compared"] == 0].tolist() if len(studies) > 1 else []
    if not alone:
        return
    nothing = len(alone) == len(studies)
    more = f", and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
    yield Problem(
        "error" if nothing else "warning",
        "no study has a label of another, so that nothing was compared"
        if nothing
        else f"no other study has a label of these, so that they were not compared: "
        f"{', '.join(map(repr, alone[:_NAMED]))}{more}",
        "give types one name in all studies (sp.pp.harmonize_labels), label cells that have no label, or name a "
        "hierarchy that joins the labels (hierarchy=)",
    )


def verdict_of(findings: list[Problem], studies: pd.DataFrame) -> str:
    """Return one sentence on a reference, of what was found among studies that were compared."""
    worst, unseen = {finding.severity for finding in findings}, studies["n_compared"] == 0
    if "error" in worst:
        return "not ready: something below would mislead whoever maps onto this reference; mend it and build again"
    if len(studies) < 2:
        return "not judged: with one study, nothing can be held against it"
    if unseen.all():
        return "not judged: no two studies share a label, so that nothing can be held against them"
    if worst or unseen.any():
        return "usable with care: what is below holds for some labels or studies"
    return "good: studies mix and agree on labels"


def verdict_on_query(findings: list[Problem]) -> str:
    """Return one sentence on a query."""
    worst = {finding.severity for finding in findings}
    if {"fatal", "error"} & worst:
        return "the query cannot be mapped as it is"
    return "the query can be mapped, with care" if worst else "the query fits the reference"
