"""Write HTML pages that need no other file: escaped text, tables and pictures."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from ._text import for_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.6rem; overflow-wrap: anywhere; }} h2 {{ font-size: 1.2rem; margin-top: 2rem; }}
img, svg {{ max-width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; margin: .5rem 0; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #e5e5e5; vertical-align: top; }}
thead th {{ border-bottom: 2px solid #bbb; white-space: nowrap; }}
th {{ font-weight: 500; }} tr.kind th {{ font-weight: 600; padding-top: 1rem; }}
td.shade {{ text-align: center; padding: .25rem .6rem; border-left: 3px solid #fff; }}
th:has(small) {{ min-width: 15rem; }}
small {{ display: block; color: #666; max-width: 44rem; }}
@media (max-width: 700px) {{ .scroll img {{ max-width: none; width: 700px; }} }}
.verdict {{ background: #eef4f9; border-left: 4px solid #0072b2; padding: .6rem 1rem; }}
.verdict p {{ margin: .3rem 0; }} .verdict li {{ margin: .4rem 0; }}
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


def verdict(sentence: str, points: Iterable[tuple[str, str]] = ()) -> str:
    """Return a box with what was found, and points to look at, each with what to do (or nothing)."""
    items = [f"<li>{for_html(what)}{_small(then)}</li>" for what, then in points]
    shown = f"<ul>{''.join(items)}</ul>" if items else ""
    return f"<div class='verdict'><p><strong>{for_html(sentence)}</strong></p>{shown}</div>"


def image(name: str, png: bytes) -> str:
    """Return a picture that is part of the page, under its name."""
    data = base64.b64encode(png).decode()
    drawn = f"<img alt='{for_html(name)}' src='data:image/png;base64,{data}'>"
    return f"{heading(name)}<div class='scroll'>{drawn}</div>"


def listing(values: Mapping[str, object], explained: Mapping[str, str] | None = None) -> str:
    """Return names and values as a table of two columns, names with what explains them."""
    explained = explained or {}
    rows = (
        f"<tr><th>{for_html(name)}{_small(explained.get(name, ''))}</th><td>{for_html(as_text(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<div class='scroll'><table>{''.join(rows)}</table></div>"


def table_of(table: pd.DataFrame, *, index: bool = True) -> str:
    """Return a table, whose texts pandas escapes."""
    return f"<div class='scroll'>{table.to_html(index=index, float_format='{:.3f}'.format, border=0)}</div>"


def _small(text: str) -> str:
    return f"<small>{for_html(text)}</small>" if text else ""


def as_text(value: object) -> str:
    """Return a value in a few characters: four digits of a number, members of a list or mapping with commas."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    if hasattr(value, "items"):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value))
