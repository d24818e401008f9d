"""Look up gene symbols, Ensembl ids and orthologs of human and mouse in bundled tables.

See ``_genes/README.md``.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd

from scarches_plus._arguments import choice

from ._names import as_text, date_symbols, letter_case, parts, strip_genome, strip_version, tidy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Species = Literal["human", "mouse"]
To = Literal["symbol", "ensembl"]
#: Where the tables come from, for reports.
SOURCE = "the gene tables of the package (GENCODE 48 and M37, HGNC, Ensembl)"
SPECIES: tuple[Species, ...] = ("human", "mouse")
_PREFIX = {"human": "ENSG", "mouse": "ENSMUSG"}
_ID = re.compile(r"^(ENS[A-Z]*G)(\d{11})$")
_FOLDER = Path(__file__).parent
#: Share of names that a table must know.
_ENOUGH = 0.3
#: Share of names above which the table of the other species need not be read.
_CLEAR = 0.7
#: So many names tell the species.
_SAMPLE = 2000


class Genes(NamedTuple):
    """Genes of one species by the number of their Ensembl id.

    Attributes
    ----------
    symbols
        Number to today's symbol.
    numbers
        Symbol to number; older symbols are among them, symbols of several genes are not.
    folded
        The same with symbols in lower case, where these are unique.
    shared
        Symbols of several genes, such as Y_RNA, that are not among the numbers.
    """

    symbols: Mapping[int, str]
    numbers: Mapping[str, int]
    folded: Mapping[str, int]
    shared: frozenset[str]


@cache
def genes(species: Species) -> Genes:
    """Read the table of a species."""
    table = pd.read_csv(_FOLDER / f"{species}.tsv.xz", sep="\t", dtype={"symbol": object}, keep_default_na=False)
    named, clear = table[table["status"] != "previous"], table[table["status"] != "shared"]
    numbers = dict(zip(clear["symbol"], clear["number"].tolist(), strict=True))
    folded = clear.assign(symbol=clear["symbol"].str.lower()).drop_duplicates(["symbol", "number"])
    folded = folded[~folded["symbol"].duplicated(keep=False)]
    return Genes(
        dict(zip(named["number"].tolist(), named["symbol"], strict=True)),
        numbers,
        dict(zip(folded["symbol"], folded["number"].tolist(), strict=True)),
        frozenset(table.loc[table["status"] == "shared", "symbol"]) - numbers.keys(),
    )


@cache
def orthologs(species: Species, *, paralogs: bool = False, several: bool = False) -> pd.DataFrame:
    """Return columns source and target (numbers) from a species to the other, one to one.

    ``paralogs`` adds genes that have no partner of their own and share one, ``several`` those that have several.
    """
    other = "mouse" if species == "human" else "human"
    table = pd.read_csv(_FOLDER / "orthologs.tsv.xz", sep="\t")
    one = table[table["kind"] == "one"]
    rest = table[(table["kind"] != "one") & ~table[species].isin(one[species])]
    alone = ~rest[species].duplicated(keep=False)
    if paralogs:
        one = pd.concat([one, rest[alone]])
    if several:
        one = pd.concat([one, rest[~alone]])
    return one[[species, other]].set_axis(["source", "target"], axis=1)


def recognize_species(names: Iterable[str]) -> str | None:
    """Return the species of genes: human, mouse, or the prefix of another's Ensembl ids.

    ``None`` if it is not clear.
    """
    names = list(names)
    some = names[:: max(len(names) // _SAMPLE, 1)]
    tidied = [strip_version(strip_genome(tidy(name))) for name in some]
    tidied = [(parts(name) or (name,))[0] for name in tidied]
    total = max(sum(name != "" for name in tidied), 1)
    found = [_ID.match(name.upper()) for name in tidied]
    prefixes = pd.Series([one.group(1) for one in found if one], dtype=object).value_counts()
    if len(prefixes) and prefixes.iloc[0] > total / 2:
        return {prefix: species for species, prefix in _PREFIX.items()}.get(prefixes.index[0], prefixes.index[0])
    likely: tuple[Species, ...] = ("mouse", "human") if letter_case(tidied) == "capitalized" else SPECIES
    known: list[float] = []
    for species in likely:
        table, n_ids = genes(species), prefixes.get(_PREFIX[species], 0)
        known.append(
            (sum(len(name) > 1 and (name in table.numbers or name in table.shared) for name in tidied) + n_ids) / total
        )
        if known[-1] > _CLEAR:  # the other's table need not be read
            return species
    best = known.index(max(known))
    return likely[best] if known[best] >= _ENOUGH and known[best] > 2 * known[1 - best] else None


def species_of(names: Iterable[str], species: str | None = None) -> Species:
    """Return the species that is named, or that of the genes.

    Raises
    ------
    ValueError
        If it is no species of the tables, or the genes are clearly of another.
    """
    if species is not None:
        choice("species", species, SPECIES)
    found = recognize_species(names)
    if found is None:
        found = species
    if found not in SPECIES:
        what = "not known to the tables of the package" if found is None else f"of another species ({found}...)"
        message = (
            f"the genes, such as {list(names)[:3]}, are {what}, which hold human and mouse; pass species='human' or "
            "'mouse', or a table"
        )
        raise ValueError(message)
    if species is not None and found != species:
        message = f"the genes, such as {list(names)[:3]}, are of {found}, not of {species}; pass {found!r}"
        raise ValueError(message)
    return found


def is_gene(name: str) -> bool:
    """Return whether a name is one of a human or mouse gene as it is spelt, and longer than a letter."""
    return len(name) > 1 and any(name in genes(species).numbers or name in genes(species).shared for species in SPECIES)


def number_of(name: str, species: Species) -> int | None:
    """Return the number of a gene by any of its names.

    These are its id with or without version, its symbol of today or before, or a clear date.
    """
    known = genes(species)
    text = strip_version(strip_genome(tidy(name)))
    for one in (text, *map(strip_genome, parts(text))):
        found = _ID.match(one.upper())
        if found and found.group(1) == _PREFIX[species]:
            return int(found.group(2))
        if one in known.numbers:
            return known.numbers[one]
        if one in known.shared:
            return None
        if one.lower() in known.folded:
            return known.folded[one.lower()]
    dates = {known.folded.get(symbol.lower()) for symbol in date_symbols(text)} - {None}
    return dates.pop() if len(dates) == 1 else None


def name_of(number: int, species: Species, to: To) -> str | None:
    """Return the id or the symbol of a gene; ``None`` if it has no symbol."""
    return f"{_PREFIX[species]}{number:011d}" if to == "ensembl" else genes(species).symbols.get(number)


def named(names: Iterable[object], species: Species, to: To) -> list[str | None]:
    """Return the id or today's symbol of each gene, ``None`` where there is none."""
    known = genes(species)
    result: list[str | None] = []
    for name in as_text(names):
        number = number_of(name, species)
        if number is not None:
            result.append(name_of(number, species, to))
        else:  # the symbol of several genes is one, whichever of them is meant
            shared = strip_genome(tidy(name))
            result.append(shared if to == "symbol" and shared in known.shared else None)
    return result
