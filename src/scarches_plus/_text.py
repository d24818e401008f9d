"""Escape foreign text where it is put out: one function for each kind of output."""

from __future__ import annotations

import html
import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~$&-])")
#: What spreadsheets take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MESSAGE_CHARACTERS = 300


def for_terminal(text: object) -> str:
    """Return text without control characters, and without those that turn the direction of writing; newlines and tabs stay."""
    return "".join(
        one for one in str(text) if one in "\n\t" or unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )


def for_line(text: object) -> str:
    """Return text for one line of a terminal or a log."""
    return " ".join(for_terminal(text).split())


def for_message(text: object, at_most: int = _MESSAGE_CHARACTERS) -> str:
    """Return foreign text for a line of an error or warning, cut where it is too long to read."""
    line = for_line(str(text)[: 4 * at_most])
    return line if len(line) <= at_most else f"{line[: at_most - 3]}..."


def for_html(text: object) -> str:
    """Return text for the body or an attribute of HTML."""
    return html.escape(for_terminal(text), quote=True)


def for_markdown(text: object) -> str:
    """Return text for one line or a table cell of Markdown, without markup or HTML of its own."""
    return _MARKDOWN.sub(r"\\\1", for_line(text))


def for_table(value: object) -> object:
    """Return a value for a cell of a CSV table; text that a spreadsheet would run as a formula gets a quote before it."""
    if not isinstance(value, str):
        return value
    plain = for_terminal(value)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain
