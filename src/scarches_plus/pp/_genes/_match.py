"""Match the genes of a query to the gene names of a reference."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ._known import SPECIES, is_gene, number_of, recognize_species
from ._names import (
    as_text,
    genome_species,
    is_missing,
    is_stable_id,
    letter_case,
    namespace,
    parts,
    strip_genome,
    strip_version,
    tidy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    import pandas as pd

    from ._known import Species

_PUNCTUATION = re.compile(r"[-._]+")
_R_NUMBER = re.compile(r"^X(?=\d)")
_MADE_UNIQUE = re.compile(r"[-.]\d{1,2}$")
#: Clones, whose last number is no suffix: ``AC012345.6``, ``RP11-34P13.7``.
_CLONE = re.compile(r"^(?:[A-Z]{1,2}\d{5,6}|.+-\w*\d[A-Z]\d+)\.\d+$")


class Match(NamedTuple):
    """Names of a reference for the genes of a query.

    Attributes
    ----------
    targets
        Name in the reference for each gene, ``None`` for those it lacks.
    reasons
        How the names differ, ``""`` where they are equal and where there is no target.
    ambiguous
        Gene to several names of the reference that it may stand for.
    """

    targets: list[str | None]
    reasons: list[str]
    ambiguous: Mapping[str, tuple[str, ...]]

    @property
    def n_found(self) -> int:
        """Number of genes of the reference that are found."""
        return len({target for target in self.targets if target is not None})

    def differences(self) -> str:
        """List how names differ, with the number of genes for each."""
        return ", ".join(f"{reason}: {n}" for reason, n in self.changes.items())

    @property
    def changes(self) -> dict[str, int]:
        """Kinds of differences between names, with the number of genes, most first."""
        return dict(Counter(reason for reason in self.reasons if reason).most_common())


def match_genes(names: pd.Index, reference: Sequence[str], var: pd.DataFrame) -> Match:
    """Match by the names of genes, or by the column of ``var`` that holds more of the reference's names."""
    match = match_names(as_text(names), reference)
    found, best = match.n_found, None
    if found < len(reference):
        wanted = {_spelled(name) for name in reference}
        for column in var.columns:
            if not isinstance(column, str) or var[column].dtype.kind in "biufM":
                continue
            texts = as_text(var[column])
            n = len(wanted.intersection(map(_spelled, texts)))
            if n > found:
                found, best = n, (column, texts)
    if best is None:
        return match
    column, texts = best
    other = match_names(texts, reference)
    reason = f"adata.var[{column!r}] holds them"
    return Match(other.targets, [reason if target is not None else "" for target in other.targets], other.ambiguous)


def match_names(query: Sequence[str], reference: Sequence[str]) -> Match:
    """Match names that are equal, then those that differ in spelling, then those of one gene.

    The tables of the package tell which names are of one gene.

    Names that differ only in blanks, genomes and versions are the same gene, and so are two names of one gene in the
    tables: several genes of the query may get one name. What is less sure names only genes of the reference that are
    not found yet.
    """
    known = set(reference)
    targets: list[str | None] = [name if name in known else None for name in query]
    reasons = [""] * len(query)
    ambiguous: dict[str, tuple[str, ...]] = {}
    if all(target is not None for target in targets):
        return Match(targets, reasons, ambiguous)

    one_species = other_species(query, reference) is None
    own = recognize_species(reference)
    species = next((one for one in (own, recognize_species(query)) if one in SPECIES), None) if one_species else None
    # the fly has genes that differ in letter case only
    any_case = one_species and (species is not None or not any(targets))
    steps: list[tuple[str, Callable[[str], Iterable[Hashable]], bool]] = [
        ("blanks or invisible characters", lambda name: [tidy(name)], True),
        ("a genome before the name", lambda name: [strip_genome(tidy(name))], True),
        ("versions of ids", lambda name: [_spelled(name)], True),
        ("id and symbol in one name", lambda name: [_spelled(name), *parts(_spelled(name))], False),
        ("letter case", lambda name: _without_case(name, any_case), False),
        ("punctuation", lambda name: [_R_NUMBER.sub("", _PUNCTUATION.sub("-", _spelled(name)))], False),
        ("older names or the other kind of ids", lambda name: _by_number(name, species), True),
    ]
    foreign = {one for one in SPECIES if own in SPECIES and one != own}
    unmatched = [
        i
        for i, name in enumerate(query)
        if targets[i] is None and not is_missing(name) and genome_species(name) not in foreign
    ]
    before = len(unmatched) + 1
    while unmatched and len(unmatched) < before:  # what is found leaves fewer names for the others
        before = len(unmatched)
        for reason, keys, again in steps:
            found = {target for target in targets if target is not None}
            table: dict[Hashable, set[str]] = {}
            for name in known if again else known - found:
                for key in keys(name):
                    table.setdefault(key, set()).add(name)
            for i in unmatched:
                hits = [table[key] for key in keys(query[i]) if key in table]
                if not hits:
                    continue
                candidates = set().union(*hits)
                if len(candidates) == 1:
                    targets[i], reasons[i] = candidates.pop(), reason
                else:
                    ambiguous[query[i]] = tuple(sorted(candidates))
            unmatched = [i for i in unmatched if targets[i] is None]
    _undo_unique_names(query, known, targets, reasons)
    return Match(
        targets, reasons, {name: several for name, several in ambiguous.items() if targets[query.index(name)] is None}
    )


def other_species(query: Sequence[str], reference: Sequence[str]) -> tuple[str, str] | None:
    """Return both species if they differ, by the tables or by the letter case of symbols.

    The letter case counts where the tables do not know one of them.
    """
    found = [recognize_species(names) for names in (query, reference)]
    if None not in found:
        return None if found[0] == found[1] else (str(found[0]), str(found[1]))
    cases = [
        {"human": "upper", "mouse": "capitalized"}.get(str(species))
        or letter_case([strip_genome(tidy(name)) for name in names])
        for species, names in zip(found, (query, reference), strict=True)
    ]
    if set(cases) != {"upper", "capitalized"}:
        return None
    by_case = {"upper": "human by letter case", "capitalized": "mouse or rat by letter case"}
    said = [species or by_case[case] for species, case in zip(found, cases, strict=True)]
    return said[0], said[1]


def kinds(query: Sequence[str], reference: Sequence[str]) -> str:
    """Say that the kinds of names differ, if they do."""
    found = namespace(query), namespace(reference)
    return f" (the query has {found[0]}, the reference {found[1]})" if found[0] != found[1] else ""


def other_names(query: Iterable[object], wanted: Iterable[object], call: str) -> str:
    """Say how many of the wanted genes a query has under other names, and the call that renames them.

    ``""`` if there is none.
    """
    names = as_text(query)
    match = match_names(names, as_text(wanted))
    changed = [(name, target) for name, target, why in zip(names, match.targets, match.reasons, strict=True) if why]
    if not changed:
        return ""
    name, target = changed[0]
    return (
        f"; {len(changed)} are there under other names ({match.differences()}), such as {name!r} for {target!r}: {call}"
    )


@lru_cache(maxsize=2**17)
def _spelled(name: str) -> str:
    return strip_version(strip_genome(tidy(name)))


def _without_case(name: str, any_case: bool) -> list[str]:  # noqa: FBT001
    spelled = _spelled(name)
    return [spelled.lower()] if any_case or is_stable_id(spelled) else []


def _by_number(name: str, species: Species | None) -> list[int]:
    number = None if species is None else number_of(name, species)
    return [] if number is None else [number]


def _undo_unique_names(query: Sequence[str], known: set[str], targets: list[str | None], reasons: list[str]) -> None:
    """Match ``TBCE-1`` and ``TBCE``, of which ``var_names_make_unique`` made one of the other."""
    found = {target for target in targets if target is not None}
    stems: dict[str, list[str]] = {}
    for name in known - found:
        stems.setdefault(name, []).append(name)
        if _may_be_made_unique(name):
            stems.setdefault(_MADE_UNIQUE.sub("", name), []).append(name)
    for position, name in enumerate(query):
        if targets[position] is not None:
            continue
        stem = _MADE_UNIQUE.sub("", name) if _may_be_made_unique(name) else name
        candidates = set(stems.get(stem, [])) if stem == name else {stem} & set(stems.get(stem, []))
        if len(candidates) == 1:
            targets[position], reasons[position] = candidates.pop(), "a number that made names unique"


def _may_be_made_unique(name: str) -> bool:
    return bool(_MADE_UNIQUE.search(name)) and not _CLONE.match(name) and not is_gene(name)
