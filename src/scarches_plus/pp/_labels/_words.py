"""Read the name of a cell type as words, so that spellings of one name read the same."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from ._synonyms import ABBREVIATIONS, DOUBTFUL_ABBREVIATIONS, EXACT_WORDS, IN_CONTEXT, KINDS, SYNONYMS

if TYPE_CHECKING:
    from collections.abc import Mapping

Words = tuple[str, ...]

_GREEK = {chr(0x3B1 + i): name for i, name in enumerate(("alpha", "beta", "gamma", "delta", "epsilon"))}
_DASHES = re.compile(r"[\u2010-\u2015\u2212]")
#: Between a word of three letters and a capital: "ActivatedStellate", but not "pDC".
_HUMP = re.compile(r"(?<=[a-z]{3})(?=[A-Z])")
_POSITIVE = re.compile(r"(?:(?<=\w)[-\s]*\b|(?<=\d))(?:positive|pos)\b")
_NEGATIVE = re.compile(r"(?:(?<=\w)[-\s]*\b|(?<=\d))(?:negative|neg)\b")
#: What joins several types in one label: "T/NK", "T+NK", "T and NK" are not the type "NK T".
_SEVERAL = re.compile(r"[/&|]|\b(?:and|or)\b|(?<=[a-z])(?<![0-9][a-z])(?:\+|\s\+\s)(?=[a-z])")
_LEVEL = re.compile(r"\b(cd\d+\w?)[-\s]*(hi|high|lo|low|dim|bright|int)\b")
#: A sign set apart from its marker: "CD4 +", "GFP - cells", but not "T cells - naive".
_APART = re.compile(r"(?<=\d)\s+(?=[+-](?:\s|$))|(?<=\w)\s+(?=-\s*(?:cells?)?$)")
#: A word with its sign. A hyphen is a minus before a gap or another marker, else it joins words.
_WORD = re.compile(r"([^\W_]+(?:~\w+)?)(\++|-(?=\s|$|_|[^\w\s]|cd\d)|(?<=\d)-(?=[^\W\d_]+\+))?")
#: Words that are never measured, after which a hyphen is no minus.
_UNSIGNED = {"cell", "non", "pre", "pro"}
_GLUED = re.compile(r"^(cd\d+|pre|pro)(t|b|nk|mono)$")
_LEVELS = {"hi": "high", "lo": "low"}
_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4"}
_SILENT = {"of", "the"}
_LIKE = "like"
_NOT_PLURAL = ("ss", "us", "is")


def spelled(label: str) -> Words:
    """Return the words of a label in one spelling, sorted: no case, plural, punctuation, or word "cell".

    A word without a sign is positive, as with one "+"; "++" and "-" stay with it.
    """
    text = _DASHES.sub("-", unicodedata.normalize("NFKC", label))
    text = _HUMP.sub(" ", text).casefold()
    for letter, name in _GREEK.items():
        text = text.replace(f"-{letter}", letter).replace(letter, f" {name} ")
    text = _SEVERAL.sub(" and ", text)
    text = _NEGATIVE.sub("- ", _POSITIVE.sub("+ ", text))
    text = _LEVEL.sub(lambda found: f"{found[1]}~{_LEVELS.get(found[2], found[2])} ", text)
    words: list[str] = []
    for word, sign in _WORD.findall(_APART.sub("", text)):
        glued = _GLUED.match(re.sub(r"cells?$", "", word))
        parts = list(glued.groups()) if glued else [word]
        parts = [_singular(part) for part in parts]
        if sign == "-" and parts[-1] not in _UNSIGNED:
            parts[-1] += "-"
        elif len(sign) > 1:
            parts[-1] += sign
        words += parts
    words = _joined(words)
    kept = [word for word in words if word not in {"cell", *_SILENT}]
    return tuple(sorted(kept or words))


def meant(label: str) -> Words:
    """Return the words of a label with abbreviations and synonyms resolved."""
    words = _resolved(spelled(label), ABBREVIATIONS)
    if {"t", "b"} & set(words):
        words = [word for word in words if word != "lymphocyte"]
    if "t" in words and {"cd4", "cd8"} & set(words) and {"alpha", "beta"} <= set(words):
        words = [word for word in words if word not in {"alpha", "beta"}]  # "CD4-positive, alpha-beta T cell"
    key = tuple(sorted(words))
    return _SYNONYMS.get(key, key)


def meant_in_context(words: Words) -> Words | None:
    """Return what the words mean in one tissue, or by one definition; ``None`` if they mean the same everywhere."""
    wider = in_full(words)
    found = _CONTEXT.get(wider, wider)
    return found if found != words else None


def in_full(words: Words) -> Words:
    """Return the words with abbreviations resolved that stand for something else in some tissue."""
    full = tuple(sorted(_resolved(words, DOUBTFUL_ABBREVIATIONS)))
    return _SYNONYMS.get(full, full)


def is_exact(word: str) -> bool:
    """Whether a word is never a misspelling of another: it has digits or a sign, is short, or a Greek letter."""
    return len(word) <= 3 or word in EXACT_WORDS or not word.isalpha()


def kind_of(word: str) -> str | None:
    """Return the end of a word that names a kind of cells, ``None`` if it has none."""
    return next((end for end in KINDS if word.removesuffix(_LIKE).endswith(end)), None)


def _resolved(words: Words, abbreviations: Mapping[str, Words]) -> list[str]:
    """Return words with abbreviations replaced, also those of what something is like ("NK-like")."""
    found: list[str] = []
    for word in words:
        base = word.removesuffix(_LIKE)
        *parts, last = abbreviations.get(base, (base,))
        found += [*parts, last + word[len(base) :]]
    return found


def _singular(word: str) -> str:
    stem = re.sub(r"(?<=\w)cells?$", "", word)
    if stem.endswith("ies") and len(stem) > 4:
        return stem[:-3] + "y"
    short = len(stem) == 3 and stem[:-1] in {**ABBREVIATIONS, **DOUBTFUL_ABBREVIATIONS}  # "DCs"
    if stem.endswith("s") and (len(stem) > 3 or short) and not stem.endswith(_NOT_PLURAL):
        return stem[:-1]
    return stem


def _joined(words: list[str]) -> list[str]:
    """Join "non" with what it denies, "like" with what it compares to, and read the Roman number of a type."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == "non":
            found[-1] += word
        elif word == _LIKE and (named := [i for i, one in enumerate(found) if one != "cell"]):
            found[named[-1]] += word
        elif found and found[-1] == "type":
            found.append(_ROMAN.get(word, word))
        else:
            found.append(word)
    return found


_SYNONYMS = {tuple(sorted(one)): tuple(sorted(other)) for one, other in SYNONYMS.items()}
_CONTEXT = {tuple(sorted(one)): tuple(sorted(other)) for one, other in IN_CONTEXT.items()}
