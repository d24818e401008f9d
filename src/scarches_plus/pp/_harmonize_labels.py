"""Propose one name for each cell type that studies call by several."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._cells import name_of, names_of, without_label
from scarches_plus._label_tree import LabelTree
from scarches_plus._logging import logger

from ._label_harmony import COLUMNS, NO_LABEL, LabelHarmony
from ._labels._matching import NOTHING, Match, Matcher
from ._labels._names import Name, names_of_tree
from ._labels._words import meant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike


def harmonize_labels(
    labels: Mapping[str, ArrayLike],
    tree: LabelTree | Sequence[str] | Path | None = None,
    *,
    synonyms: Mapping[str, str] | None = None,
    min_score: float = 0.85,
    unlabelled: Collection[Any] | None = None,
) -> LabelHarmony:
    """Propose one name for each cell type that studies call by several.

    A label is matched, the surest way first: by its text; in any case; in another spelling (punctuation, plural, order
    of words, "cell", signs of markers: "Mono (CD14+)" has the words of "CD14+ mono"); by a synonym or an abbreviation
    ("NK"). These are applied. What follows is only proposed, with status ``"check"``: a name that a tissue decides
    ("alpha"), a related synonym, a misspelling, a broader name, and whatever matches several names. Numbers, signs,
    short words and Greek letters are never taken for misspellings: "CD4 T" is not near "CD8 T". Labels that one study
    uses side by side are never taken for one type by a misspelling.

    Parameters
    ----------
    labels
        Study to the label of every cell, such as ``adata.obs["cell_type"]``.
    tree
        Names to match with: a tree (:func:`label_tree`), a list, or the :class:`~pathlib.Path` of an ontology in OBO
        format, such as the Cell Ontology, whose exact synonyms count as such, and others as related (needs
        ``pip install 'scarches-plus[ontology]'``). ``None``: the labels of all studies; of those that match, the one
        with the most cells is the name.
    synonyms
        Names that you know: label to name, before any other match.
    min_score
        Similarity from which words count as misspelt, from 0 to 1.
    unlabelled
        Words that are no label, as they are spelt; ``None``: "Unknown", "Mixed" and the other words in
        :doc:`/guide/labels`, in any case. They are not matched, and stay.

    Returns
    -------
    LabelHarmony
        ``.table`` to edit, ``.conflicts`` to decide, ``.apply(labels, studies)``.

    Raises
    ------
    ValueError
        If there are no labels, ``synonyms`` name what the tree lacks, or the ontology cannot be read.
    ModuleNotFoundError
        If the library that reads ontologies is not installed.
    TypeError
        If an argument is of another kind.

    References
    ----------
    Lotfollahi et al. (2020), scArches, harmonised the labels of brain atlases "via fuzzy string matching".

    Examples
    --------
    >>> import scarches_plus as sp
    >>> harmony = sp.pp.harmonize_labels({"a": ["CD4 T", "NK"], "b": ["T CD4+", "Natural killer cells", "CD8 T"]})
    >>> harmony.table[["study", "label", "proposal", "status"]].iloc[3].tolist()
    ['b', 'Natural killer cells', 'NK', 'apply']
    """
    check.mapping("labels", labels)
    min_score = check.number("min_score", min_score, above=0, most=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    synonyms = {} if synonyms is None else check.mapping("synonyms", synonyms)
    known = {name_of(label): check.text(f"synonyms[{label!r}]", name) for label, name in synonyms.items()}
    sizes, words = _sizes(labels, unlabelled)
    if tree is None:
        matches, identifiers, near = _among_studies(sizes, known, min_score)
    else:
        names = names_of_tree(tree)
        identifiers = {one.name: one.identifier for one in names}
        if strange := sorted(set(known.values()) - set(identifiers)):
            message = f"synonyms name {strange[:5]}, which the tree lacks"
            raise ValueError(message)
        matcher = Matcher(names, known, min_score)
        matches = {label: matcher.find(label) for label in sizes["label"].unique()}
        near = {label: matcher.near(label, match.names[:1]) for label, match in matches.items() if not match.sure}
    rows = [
        (study, label, n, *_proposal(label, matches[label], identifiers, near.get(label, ())))
        for study, label, n in sizes.itertuples(index=False)
    ]
    rows += [(study, word, n, "", "keep", NO_LABEL, 0.0, "", "") for study, word, n in words.itertuples(index=False)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    harmony = LabelHarmony(table, _levels(table, tree) if isinstance(tree, LabelTree) else ())
    logger.info("%s", harmony)
    return harmony


def _sizes(labels: Mapping[str, ArrayLike], unlabelled: Collection[Any] | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells of every study and label, the most first, and those of words that are no label."""
    parts: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
    for study, given in labels.items():
        if isinstance(given, str | bytes | Mapping):
            message = f"labels[{study!r}] must hold the label of every cell, not {check.shown(given)}"
            raise TypeError(message)
        names = names_of(given)
        no_label = without_label(names, unlabelled, where=f"study {study!r}")
        for part, cells in zip(parts, (~no_label, no_label), strict=True):
            counts = pd.Series(names[cells], dtype=object).value_counts()
            part.append(pd.DataFrame({"study": name_of(study), "label": counts.index, "n_cells": counts.to_numpy()}))
    if not sum(map(len, parts[0])):
        message = "labels holds no labels: pass studies, and the label of every cell of each"
        raise ValueError(message)
    sizes, words = (pd.concat(part, ignore_index=True) for part in parts)
    return sizes, words


def _among_studies(
    sizes: pd.DataFrame, synonyms: Mapping[str, str], min_score: float
) -> tuple[dict[str, Match], dict[str, str], dict[str, list[str]]]:
    """Match the labels of studies with each other."""
    total = sizes.groupby("label", sort=False)["n_cells"].sum().sort_values(ascending=False, kind="stable")
    groups: dict[tuple[str, ...], list[str]] = {}
    for label in total.index:
        groups.setdefault(meant(synonyms.get(label, label)), []).append(label)
    chosen = {label: members[0] for members in groups.values() for label in members}
    chosen |= {label: synonyms[label] for label in synonyms if label in chosen}
    studies = sizes.groupby("label")["study"].agg(set).to_dict()
    of_group = {members[0]: set().union(*(studies[one] for one in members)) for members in groups.values()}
    cells = {members[0]: int(total[members].sum()) for members in groups.values()}
    firsts = sorted(of_group, key=lambda first: -cells[first])
    place = {first: i for i, first in enumerate(firsts)}  # of two that are alike, one takes the name of the other
    whole = Matcher([Name(first) for first in firsts], synonyms, min_score)

    matches: dict[str, Match] = {}
    near: dict[str, list[str]] = {}
    for members in groups.values():
        first = members[0]
        others = [one for one in firsts if one != first and not of_group[one] & of_group[first]]
        without = [one for one in firsts if one not in others]
        doubt = whole.find(first, without) if first not in synonyms else NOTHING
        larger = [one for one in doubt.names if doubt.how == "broader" or place[one] < place[first]]
        alone = len(of_group[first]) == 1 and len(members) == 1 and first not in synonyms
        for label in members:
            if larger:
                matches[label] = Match(tuple(larger), doubt.how, doubt.score)
            elif alone:
                matches[label] = Match((), "only here")
            else:
                matches[label] = Matcher([Name(chosen[label])], synonyms, min_score).find(label)
            near[label] = whole.near(label, [first, *larger])
    return {label: _to_the_end(match, matches) for label, match in matches.items()}, {}, near


def _to_the_end(match: Match, matches: Mapping[str, Match]) -> Match:
    """Propose the name that the proposed label is to take itself, so that both become one, and then the label."""
    end, seen = match.names[:1], set(match.names[:1])
    while end and end[0] in matches and matches[end[0]].names[:1] and matches[end[0]].names[0] not in seen:
        end = matches[end[0]].names[:1]
        seen.add(end[0])
    return replace(match, names=tuple(dict.fromkeys([*end, *match.names])))


def _proposal(
    label: str, match: Match, identifiers: Mapping[str, str], near: Sequence[str]
) -> tuple[str, str, str, float, str, str]:
    """Return what a table says of a label from its proposal on."""
    proposal = match.names[0] if match.names else label if match.how else ""
    status = "apply" if match.sure else "check" if match.names else "keep"
    others = dict.fromkeys([*match.names[1:], *(near if status != "apply" else ())])
    how = match.how if len(match.names) < 2 else f"{match.how}, several"
    listed = " | ".join(one for one in others if one != proposal)
    return proposal, status, how, match.score, identifiers.get(proposal, ""), listed


def _levels(table: pd.DataFrame, tree: LabelTree) -> tuple[str, ...]:
    """Say where a study has a name that contains names which others tell apart."""
    applied = table[table["status"] == "apply"]
    names = dict.fromkeys(applied["proposal"])
    studies = applied.groupby("proposal")["study"].agg(lambda one: sorted(set(one))).to_dict()
    found = []
    for name in names:
        below = [other for other in names if other != name and name in tree.path(other)]
        others = sorted({study for other in below for study in studies[other]} - set(studies[name]))
        if below and others:
            found.append(
                f"{studies[name]} have {name!r}, of which {others} tell {below[:5]} apart: train with hierarchy="
            )
    return tuple(found)
