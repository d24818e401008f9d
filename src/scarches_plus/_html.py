"""Write HTML pages that need no other file: escaped text, tables and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._text import for_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.2rem; margin-top: 2rem; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e5e5e5; }}
th {{ font-weight: 500; }}
</style></head><body>
{body}
</body></html>
"""


def page(title: str, parts: Iterable[str]) -> bytes:
    """Return one page of parts that are HTML already, under its title."""
    body = "\n".join([f"<h1>{for_html(title)}</h1>", *parts])
    return _PAGE.format(title=for_html(title), body=body).encode("utf-8", "replace")


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{for_html(text)}</h2>"


def listing(values: Mapping[str, object]) -> str:
    """Return names and values as a table of two columns."""
    rows = (f"<tr><th>{for_html(name)}</th><td>{for_html(as_text(value))}</td></tr>" for name, value in values.items())
    return f"<table>{''.join(rows)}</table>"


def table_of(table: pd.DataFrame, *, index: bool = True) -> str:
    """Return a table, whose texts pandas escapes."""
    return table.to_html(index=index, float_format="{:.3f}".format, border=0)


def as_text(value: object) -> str:
    """Return a value in a few characters: four digits of a number, members of a list or mapping with commas."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    if hasattr(value, "items"):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value))
