"""Say in words how well a query was mapped, what to look at, and which option to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scarches_plus import _keys, tl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from anndata import AnnData

#: Shares above which a point is made of them; detect_novel warns of more than a quarter, too.
_MANY = 0.25
_SOME = 0.1
#: Share of even mixing below which query and reference lie side by side.
_APART = 0.3
#: Drift in units of the spread of the cells.
_DRIFTED = 0.1
#: Types that are named, of at least so many cells.
_MOST_NAMES = 3
_CELLS = 10


class Verdict(NamedTuple):
    """Judgement of a mapping.

    Attributes
    ----------
    sentence
        What came out.
    points
        What to look at, and what to do about it.
    """

    sentence: str
    points: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Return it as lines."""
        return "\n".join([self.sentence, *(f"- {what} {then}" for what, then in self.points)])


def verdict_of(
    query: AnnData,
    labels_key: str,
    scores: Mapping[str, float],
    *,
    mixing: float | None,
    per_type: pd.DataFrame | None,
    why_not: str = "",
) -> Verdict:
    """Judge a mapped and labelled query.

    Parameters
    ----------
    query
        Cells with transferred labels, and with records of what was done.
    labels_key
        Name of the labels.
    scores
        Scores of the report by name.
    mixing
        Entropy of mixing with the reference as a share of what even mixing gives, if it was measured.
    per_type
        Scores of each true type, if there are true labels.
    why_not
        Why novel cells were not looked for, if that was tried.
    """
    unknown = scores["called unknown"]
    sentence = f"{1 - unknown:.0%} of {query.n_obs:,} cells have a label of the reference, {unknown:.0%} are unknown."
    if per_type is not None and np.isfinite(scores["accuracy"]):
        sentence += f" Of the cells of known types {scores['accuracy']:.0%} have their true label."
    found = next((one.numbers for one in tl.summary(query).outcomes if one.key == _keys.NOVEL), None)
    if found is not None and found.get("judged"):
        n, clusters = found["novel"], len(found["clusters"])
        where = f"in {clusters} cluster{'' if clusters == 1 else 's'}" if clusters else "scattered"
        sentence += f" {n:,} cells ({n / query.n_obs:.0%}) are novel" + (f", {where}." if n else ".")
    points = [
        *_of_labels(_undecided(query, labels_key, looked_for="called novel" in scores)),
        *_of_novelty(query, labels_key, scores, found, why_not),
        *_of_mixing(mixing),
        *_of_drift(scores),
    ]
    if per_type is not None:
        points += _of_types(per_type)
    if not points:
        sentence += " Nothing that was measured calls for a second look."
    return Verdict(sentence, tuple(points))


def _undecided(query: AnnData, labels_key: str, *, looked_for: bool) -> float:
    """Return the share of cells that are unknown without being novel."""
    unknown = (query.obs[_keys.predicted(labels_key)] == _keys.UNKNOWN).to_numpy()
    if looked_for:
        unknown = unknown & ~query.obs[_keys.NOVEL].to_numpy(dtype=bool)
    return float(unknown.mean())


def _of_labels(unknown: float) -> Iterator[tuple[str, str]]:
    if unknown > _MANY:
        yield (
            f"{unknown:.0%} of the cells are unknown without being novel: their neighbours disagree.",
            "A higher transfer --unknown-above (the default is 0.5) labels more of them, and is wrong more often.",
        )


def _of_novelty(
    query: AnnData, labels_key: str, scores: Mapping[str, float], found: Mapping[str, object] | None, why_not: str
) -> Iterator[tuple[str, str]]:
    novel = scores.get("called novel")
    if novel is None and why_not:
        yield f"Novel cells could not be looked for: {why_not}", ""
        return
    if novel is None:
        yield (
            "Novel cells were not looked for: cells of types that the reference lacks have labels of other types.",
            "Run scarches-plus novel, then transfer --novel-key novel.",
        )
        return
    if found is not None and not found.get("judged"):
        yield (
            "No cell could be judged novel or known: the query differs too much, or has too few types.",
            f"Look at marker genes of the labels: scarches-plus markers --groupby {_keys.predicted(labels_key)}.",
        )
        return
    if novel > _MANY:
        yield (
            f"{novel:.0%} of the cells are called novel, more than most queries have.",
            "See scarches-plus check for genes and counts that differ; a lower novel --alpha calls fewer cells.",
        )
    clusters = query.obs.get(_keys.novel_cluster(_keys.NOVEL))
    if novel and clusters is not None and clusters.notna().any():
        sizes = clusters.value_counts()
        sizes = sizes[sizes > 0]
        named = ", ".join(f"{name} ({n:,} cells)" for name, n in sizes[:_MOST_NAMES].items())
        others = " and others" if len(sizes) > _MOST_NAMES else ""
        yield (
            f"Novel cells form clusters that need a name: {named}{others}.",
            "Find their markers with scarches-plus markers --groupby novel_cluster; then name them, and extend the "
            "reference.",
        )
    if (unjudged := scores.get("not judged novel or known", 0)) > _SOME:
        yield (
            f"{unjudged:.0%} of the cells were not judged novel or known.",
            "They may be either: look at them on the map, where they are hollow.",
        )


def _of_mixing(mixing: float | None) -> Iterator[tuple[str, str]]:
    if mixing is not None and mixing < _APART:
        yield (
            f"Query and reference lie side by side: they mix at {mixing:.0%} of what even mixing gives.",
            "Fine where they share few types. Else map --penalty mmd:weight=1,anchors=true pulls them together, with a "
            "weight of up to 10; the reference has to keep anchors (build --anchors 2000).",
        )


def _of_drift(scores: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    moved = scores.get("reference drift, cells (relative RMSD)")
    if moved is None and scores.get("reference drift, largest change of a weight", 0.0) > 0:
        yield (
            "Weights of the reference changed; how far its cells moved was not measured.",
            "Pass the reference's cells with --reference; map --strategy condition would leave them where they are.",
        )
    moved = moved or 0.0
    if moved > _DRIFTED:
        yield (
            f"The reference moved by {moved:.2f} of the spread of its cells.",
            "Embed its cells again with the mapped model; map --strategy condition keeps them where they are.",
        )


def _of_types(per_type: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Name types whose cells have another label."""
    large = per_type[per_type["n"] >= _CELLS]
    wrong = 1 - large["recall"] - large["unknown_rate"]
    known = large[large["known"].astype(bool) & (wrong > 0.5)].sort_values("recall")
    if len(known):
        named = "; ".join(
            f"{name}, {row['recall']:.0%} right{_mostly(row['confused_with'])}"
            for name, row in known[:_MOST_NAMES].iterrows()
        )
        yield f"Types with a wrong label for most of their cells: {named}.", "See the table of types in report.html."
    unseen = large[~large["known"].astype(bool) & (large["unknown_rate"] < 0.5)].sort_values("unknown_rate")
    if len(unseen):
        named = "; ".join(
            f"{name}, {1 - row['unknown_rate']:.0%}{_mostly(row['confused_with'])}"
            for name, row in unseen[:_MOST_NAMES].iterrows()
        )
        yield (
            f"Types that the reference lacks, yet most of their cells have a label of it: {named}.",
            "scarches-plus novel may find such cells; with transfer --novel-key novel they are unknown.",
        )


def _mostly(label: object) -> str:
    return f", most others {label}" if isinstance(label, str) else ""
