"""Normalise spellings of gene names: blanks, genome prefixes, id versions, spreadsheet dates."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["Ensembl ids", "gene symbols"]

_PLAIN = re.compile(r"^[A-Za-z0-9._:|()/+-]*$")
#: Ids whose last number is a version: Ensembl, WormBase, FlyBase, RefSeq, TAIR, UCSC. Clones (``AC004556.1``) are not
#: among them.
_STABLE_ID = (
    r"(?:ENS[A-Z]*\d{6,}|WBGene\d{8}|FB(?:gn|tr|pp)\d{7}|[NX][MRP]_\d{6,}|AT[1-5CM]G\d{5}|"
    r"uc\d{3}[a-z]{3}|MGP_\w+?_[GT]\d{7})"
)
_VERSIONED = re.compile(rf"^({_STABLE_ID})\.\d+((?:_PAR_Y)?)$", re.IGNORECASE)
_STABLE = re.compile(rf"^{_STABLE_ID}$", re.IGNORECASE)
_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{6,}(\.\d+)?$", re.IGNORECASE)
_JOINED = re.compile(rf"^(?:(.+?)[\s_|:;,/(]+)?({_STABLE_ID}(?:\.\d+)?)(?:[\s_|:;,/)]+(.*?))?\)?$", re.IGNORECASE)
_SYMBOL_AND_PLACE = re.compile(r"^(.+?)(?:\|\d+|__chr[\dXYM]+\w*)$")
_GENOME = re.compile(r"^(?:GRC[a-z]\d{1,2}|hg\d{2}|mm\d{1,2}|rn\d|danRer\d+|human|mouse)_+(?=\S)", re.IGNORECASE)
#: What tables and readers write for a missing name.
_MISSING = {"", "nan", "NaN", "None", "NA", "N/A", "#N/A", "<NA>"}
_STEMS = {
    "mar": ("MARCH", "MARC"),
    "sep": ("SEPT", "SEP"),
    "dec": ("DEC",),
    "oct": ("OCT",),
    "nov": ("NOV",),
    "apr": ("APR",),
}
_MONTHS = {3: "mar", 4: "apr", 9: "sep", 10: "oct", 11: "nov", 12: "dec"}
_DATE = re.compile(
    rf"^(?:(\d{{1,2}})[-\s/]({'|'.join(_STEMS)})[a-z]*|({'|'.join(_STEMS)})[a-z]*[-\s/](\d{{1,2}}))$", re.IGNORECASE
)
_ISO_DATE = re.compile(r"^(?:19|20)\d\d-(\d\d)-(\d\d)(?: 00:00:00)?$")


def as_text(names: Iterable[Any]) -> list[str]:
    """Return names as text, ``""`` for missing ones."""
    return ["" if name is None or name is pd.NA or name != name else str(name) for name in names]  # noqa: PLR0124 (NaN)


def is_missing(name: str) -> bool:
    """Return whether a name stands for none."""
    return name.strip() in _MISSING


def namespace(names: Iterable[Any]) -> Kind:
    """Name the kind of gene ids, judged by the majority of the first thousand."""
    sample = as_text(list(names)[:1000])
    share = sum(bool(_ENSEMBL.match(tidy(name))) for name in sample) / max(len(sample), 1)
    return "Ensembl ids" if share > 0.5 else "gene symbols"


def tidy(name: str) -> str:
    """Remove blanks, invisible characters and quotation marks around a name; no gene has blanks inside either."""
    if _PLAIN.match(name):
        return name
    text = unicodedata.normalize("NFKC", name)
    text = "".join(one for one in text if not one.isspace() and unicodedata.category(one) not in {"Cc", "Cf"})
    return text.strip("\"'")


def strip_genome(name: str) -> str:
    """Remove the name of a genome before a gene (``GRCh38_TP53``)."""
    return _GENOME.sub("", name)


def genome_species(name: str) -> str | None:
    """Return the species of the genome before a gene, human or mouse: of both species' cells in one experiment."""
    found = _GENOME.match(name)
    stems = {"grch": "human", "hg": "human", "human": "human", "grcm": "mouse", "mm": "mouse", "mouse": "mouse"}
    return stems.get(re.split(r"[\d_]", found.group().lower())[0]) if found else None


def strip_version(name: str) -> str:
    """Remove the version at the end of an id; other names stay (``AC004556.1`` is a name of its own)."""
    return _VERSIONED.sub(r"\1\2", name)


def is_stable_id(name: str) -> bool:
    """Return whether a name is an id of Ensembl, WormBase, FlyBase, RefSeq, TAIR or UCSC, in any letter case."""
    return bool(_STABLE.match(name))


def parts(name: str) -> tuple[str, ...]:
    """Return the id and the symbol of a joined name, such as ``ENSG00000141510_TP53``.

    Of ``TP53|7157`` it returns the symbol, of other names nothing.
    """
    found = _JOINED.match(name)
    if found:
        before, stable_id, after = found.groups()
        others = tuple(other for other in (before, after) if other and other != "PAR_Y")
        return (strip_version(stable_id), *others) if others else ()
    placed = _SYMBOL_AND_PLACE.match(name)
    return (placed.group(1),) if placed else ()


def date_symbols(name: str) -> tuple[str, ...]:
    """Return the symbols from which a spreadsheet makes a date.

    ``2-Sep`` was SEPT2 or SEP2, ``1-Mar`` MARCH1 or MARC1.
    """
    found, iso = _DATE.match(name), _ISO_DATE.match(name)
    if found:
        day, month = (found.group(1), found.group(2)) if found.group(1) else (found.group(4), found.group(3))
    elif iso and int(iso.group(1)) in _MONTHS:
        month, day = _MONTHS[int(iso.group(1))], iso.group(2)
    else:
        return ()
    return tuple(f"{stem}{int(day)}" for stem in _STEMS[month.lower()])


def letter_case(names: Sequence[str]) -> Literal["upper", "capitalized", "other"]:
    """Return how most symbols are written: like human ones, like mouse ones, or neither.

    Human symbols are written ``GAPDH``, those of mouse and rat ``Gapdh``.
    """
    symbols = [name for name in names[:2000] if sum(one.isalpha() for one in name) > 1 and not _ENSEMBL.match(name)]
    if not symbols:
        return "other"
    upper = sum(name.isupper() for name in symbols) / len(symbols)
    capitalized = sum(name[0].isupper() and any(one.islower() for one in name[1:]) for name in symbols) / len(symbols)
    return "upper" if upper > 0.5 else "capitalized" if capitalized > 0.5 else "other"
