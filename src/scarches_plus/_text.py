"""Escape foreign text for terminals, logs, JSON, HTML, Markdown, figures and CSV tables."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd


#: Control characters (also those of terminals, C1), turns of the direction of writing, halves of characters, breaks of
#: lines.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>|~$&])")
#: What begins a heading, a list or a line across the page.
_MARKDOWN_START = re.compile(r"^(?:[#+=-]|\d+(?=[.)](?:\s|$)))")
#: What spreadsheets take for a formula, in any width of writing, unless it is a number.
_FORMULA = frozenset("=+-@\t\r")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_MESSAGE_CHARACTERS = 300
_FIGURE_CHARACTERS = 60


def for_terminal(text: object) -> str:
    """Return text without control characters and changes of the writing direction.

    Newlines and tabs stay.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(one for one in plain if one in "\n\t" or unicodedata.category(one) not in _UNSEEN)


def for_line(text: object) -> str:
    """Return text for one line of a terminal or a log."""
    return " ".join(for_terminal(text).split())


def for_message(text: object, at_most: int = _MESSAGE_CHARACTERS) -> str:
    """Return foreign text for a line of an error or warning, cut where it is too long to read."""
    line = for_line(str(text)[: 4 * at_most])
    return line if len(line) <= at_most else f"{line[: at_most - 3]}..."


def for_json(text: str) -> str:
    """Return JSON for a terminal: what cannot be seen is written as JSON writes it, and means the same."""
    if text.isprintable():
        return text
    return "".join(one if one == "\n" or one.isprintable() else _written(one) for one in text)


def for_html(text: object) -> str:
    """Return text for the body or an attribute of HTML."""
    return html.escape(for_terminal(text), quote=True)


def for_markdown(text: object) -> str:
    """Return text for one line or a table cell of Markdown, without markup or HTML of its own."""
    escaped = _MARKDOWN.sub(r"\\\1", for_line(text))
    return _MARKDOWN_START.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", escaped)


def for_figure(names: Iterable[object], *, in_legend: bool = False) -> list[str]:
    """Return names for a figure: each on one line, not too long, none twice.

    In a legend, none has the underscore that hides it.
    """
    shown: dict[str, None] = {}
    for name in names:
        text = for_message(name, _FIGURE_CHARACTERS) or " "
        text = f" {text}" if in_legend and text.startswith("_") else text
        once = next(one for one in _numbered(text) if one not in shown)
        shown[once] = None
    return list(shown)


def for_table(value: object) -> object:
    """Return a value for a cell of a CSV table, safe from spreadsheet formulas.

    Text that a spreadsheet would run as a formula gets a quote before it.
    """
    if not isinstance(value, str):
        return value
    plain = for_terminal(value)
    starts = {one.lstrip(" \n")[:1] for one in (value, plain)}
    runs = any(unicodedata.normalize("NFKC", one) in _FORMULA for one in starts)
    return f"'{plain}" if runs and not _NUMBER.fullmatch(plain) else plain


def for_csv(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table for ``to_csv``: cells, names of rows and names of columns as :func:`for_table` has them."""
    safe = table.copy()
    for number, dtype in enumerate(table.dtypes):
        if dtype.kind not in "biufc":  # also of pandas' own numbers
            cells = table.iloc[:, number].astype(object).map(for_table, na_action="ignore")
            safe.isetitem(number, cells)  # type: ignore[arg-type]
    return safe.set_axis(_safe_names(table.index), axis=0).set_axis(_safe_names(table.columns), axis=1)


def _safe_names(index: pd.Index) -> pd.Index:
    if index.nlevels > 1:
        names = index.map(lambda one: tuple(map(for_table, one)))
    else:
        names = index if index.inferred_type in {"integer", "floating"} else index.astype(object).map(for_table)
    return names.set_names([for_table(name) for name in index.names])  # type: ignore[no-any-return]


def _numbered(text: str) -> Iterable[str]:
    yield text
    number = 2
    while True:
        yield f"{text} ({number})"
        number += 1


def _written(character: str) -> str:
    code = ord(character)
    if code < 2**16:
        return f"\\u{code:04x}"
    code -= 2**16
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
