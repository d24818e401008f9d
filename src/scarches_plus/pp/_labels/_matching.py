"""Match a label with names of cell types, and say how and how well."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from ._words import Words, in_full, is_exact, kind_of, meant, meant_in_context, spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ._names import Name

#: How a label may match, the surest first, and the score of such a match where it has no similarity of its own.
SURE = {"exact": 1.0, "case": 1.0, "spelling": 1.0, "synonym": 0.95}
UNSURE = {"context": 0.9, "related synonym": 0.9, "broader": 0.5, "fuzzy": 0.0}
#: Names that a table lists beside the proposal.
_LISTED = 3
#: Similarity of whole labels below which names are no alternatives, of 100.
_NEAR = 60
#: Words of a label that are paired in every order.
_MOST_WORDS = 6


@dataclass(frozen=True)
class Match:
    """Match of a label: names, and how they were found.

    Attributes
    ----------
    names
        Names that match equally well; several are a doubt.
    how
        One of :data:`SURE` or :data:`UNSURE`, empty if nothing matches.
    score
        From 0 to 1.
    """

    names: tuple[str, ...] = ()
    how: str = ""
    score: float = 0.0

    @property
    def sure(self) -> bool:
        """Return whether the match is sure enough to be applied."""
        return self.how in SURE and len(self.names) == 1


NOTHING = Match()


class Matcher:
    """Names of cell types, ready to be matched with labels.

    Parameters
    ----------
    names
        Names that labels may become.
    synonyms
        The user's own: label to name.
    min_score
        Similarity from which words count as misspellings of each other.
    """

    def __init__(self, names: Sequence[Name], synonyms: Mapping[str, str], min_score: float) -> None:
        self.names = [one.name for one in names]
        self.synonyms = synonyms
        self.min_score = min_score
        self.words = [meant(name) for name in self.names]
        self._texts = [" ".join(words) for words in self.words]
        tiers: dict[str, dict[object, dict[str, None]]] = {
            how: defaultdict(dict) for how in (*SURE, "related synonym", "context")
        }
        for one, words in zip(names, self.words, strict=True):
            tiers["exact"][one.name][one.name] = None
            tiers["case"][one.name.casefold()][one.name] = None
            tiers["spelling"][spelled(one.name)][one.name] = None
            tiers["synonym"][words][one.name] = None
            for text, scope in one.synonyms:
                tiers["synonym" if scope == "EXACT" else "related synonym"][meant(text)][one.name] = None
            if (in_context := meant_in_context(words)) is not None:
                tiers["context"][in_context][one.name] = None
        self._tiers = tiers

    def find(self, label: str, without: Iterable[str] = ()) -> Match:
        """Return what a label matches.

        Parameters
        ----------
        label
            The label.
        without
            Names that it is known not to be.
        """
        if label in self.synonyms:
            return Match((self.synonyms[label],), "synonym", 1.0)
        words, excluded = meant(label), set(without)
        keys: dict[str, object] = {
            "exact": label,
            "case": label.casefold(),
            "spelling": spelled(label),
            "synonym": words,
            "context": meant_in_context(words),
            "related synonym": words,
        }
        for how, key in keys.items():
            found = dict(self._tiers[how if how != "context" else "synonym"].get(key, {}))
            if how == "context":
                found |= self._tiers["context"].get(words, {})
            if left := [name for name in found if name not in excluded]:
                return Match(tuple(left), how, {**SURE, **UNSURE}[how])
        return self._fuzzy(words, excluded) or self._broader(words, excluded) or NOTHING

    def near(self, label: str, without: Iterable[str] = ()) -> list[str]:
        """Return the names nearest to a label that are not plainly another type."""
        words, excluded = meant(label), set(without)
        found = process.extract(" ".join(words), self._texts, scorer=fuzz.token_set_ratio, limit=50)
        close = [
            self.names[i]
            for _, score, i in found
            if score >= _NEAR and self.names[i] not in excluded and not _exclude(words, self.words[i])
        ]
        return close[:_LISTED]

    def _fuzzy(self, words: Words, excluded: set[str]) -> Match | None:
        text = [" ".join(words)]
        close = np.flatnonzero(process.cdist(text, self._texts, scorer=fuzz.ratio, score_cutoff=_NEAR)[0])
        scored = [(misspelt(words, self.words[i], self.min_score), self.names[i]) for i in close]
        scored = [(score, name) for score, name in scored if score > 0 and name not in excluded]
        if not scored:
            return None
        best = max(score for score, _ in scored)
        return Match(tuple(dict.fromkeys(name for score, name in scored if score == best)), "fuzzy", best)

    def _broader(self, words: Words, excluded: set[str]) -> Match | None:
        """Find names whose words are all in the label, which says more."""
        if "and" in words:
            return None
        here = set(in_full(words))
        inside = [
            (len(own), name)
            for own, name in zip(map(in_full, self.words), self.names, strict=True)
            if set(own) < here and name not in excluded
        ]
        if not inside:
            return None
        most = max(n for n, _ in inside)
        return Match(
            tuple(dict.fromkeys(name for n, name in inside if n == most)), "broader", round(most / len(words), 2)
        )


def misspelt(one: Words, other: Words, min_score: float) -> float:
    """Return how similar two names are if they may be misspellings of each other, else 0.

    Words with digits or signs, short words and Greek letters must be the same, and so must the kinds of cells (-blast,
    -cyte, ...); each of the other words has one that is similar.
    """
    exact = [sorted(word for word in words if is_exact(word)) for words in (one, other)]
    rest = [[word for word in words if not is_exact(word)] for words in (one, other)]
    if exact[0] != exact[1] or len(rest[0]) != len(rest[1]) or not 0 < len(rest[0]) <= _MOST_WORDS:
        return 0.0
    best = 0.0
    for order in permutations(rest[1]):
        pairs = list(zip(rest[0], order, strict=True))
        similar = [_similarity(*pair) for pair in pairs]
        if min(similar) >= min_score:
            best = max(best, float(np.average(similar, weights=[len(word) for word, _ in pairs])))
    return round(best, 3)


def _similarity(one: str, other: str) -> float:
    kinds = {kind_of(one), kind_of(other)} - {None}
    return OSA.normalized_similarity(one, other) if len(kinds) < 2 else 0.0


def _exclude(one: Words, other: Words) -> bool:
    """Whether two names are plainly different: each has a marker, number or letter that the other lacks."""
    exact = [{word for word in words if is_exact(word)} for words in (one, other)]
    return bool(exact[0] - exact[1] and exact[1] - exact[0])
