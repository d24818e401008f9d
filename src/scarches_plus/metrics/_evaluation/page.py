"""Write the page of an evaluation: verdict, scores in words and colours, mixing against conservation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus._colors import color_at
from scarches_plus._html import heading, listing, page, table_of, verdict
from scarches_plus._score_words import EVALUATION, KINDS, name_of_score
from scarches_plus._text import for_html

if TYPE_CHECKING:
    import pandas as pd

    from .report import Report

MIXING, CONSERVATION, TOTAL = ("summary", "mixing"), ("summary", "conservation"), ("summary", "total")
#: Types that the verdict names.
_MOST_NAMES = 3
#: Blue, of which scores of 1 have the most.
_SHADE = (0, 114, 178)


def page_of(report: Report, title: str, intervals: str) -> bytes:
    """Return the page of a report.

    Parameters
    ----------
    report
        Result of :func:`scarches_plus.metrics.evaluate`.
    title
        What was scored.
    intervals
        Title of the intervals over draws.
    """
    table = report.table()
    if TOTAL in table:
        table = table.sort_values(TOTAL, ascending=False)
    parts = [f"<p>{for_html(title)}</p>", verdict(_sentence(table), _points(table, report.per_label))]
    if {MIXING, CONSERVATION} <= set(table):
        parts += [heading("Mixing against conservation"), _scatter(table)]
    parts += [heading("Scores"), _scores(table)]
    if len(texts := report.intervals()):
        parts += [heading(intervals), table_of(texts.rename(index=name_of_score))]
    if len(report.per_label):
        columns = {name: str(name).replace("_", " ") for name in report.per_label}
        parts += [heading("By label"), table_of(report.per_label.rename(columns=columns), index=False)]
    if len(samples := report.by_sample()):
        columns = {name: name_of_score(str(name)) for name in samples} | {"n_cells": "cells"}
        parts += [heading("By sample"), table_of(samples.rename(columns=columns).reset_index(), index=False)]
    provenance = {name.replace("_", " "): value for name, value in report.provenance.items()}
    return page("Evaluation", [*parts, heading("Provenance"), listing(provenance)])


def _sentence(table: pd.DataFrame) -> str:
    """Say how well the best embedding does."""
    if not len(table) or MIXING not in table:
        return "Mixing of batches was not scored; the scores are below."
    first, best = table.index[0], table.iloc[0]
    if TOTAL not in table:
        return f"Batches mix at {best[MIXING]:.2f} of 1 in {first}; whether biology is kept was not scored."
    of_first = f"mixing of batches {best[MIXING]:.2f}, conservation of biology {best[CONSERVATION]:.2f}"
    if len(table) == 1:
        return f"{first} has a total of {best[TOTAL]:.2f} (1 is best): {of_first}."
    return (
        f"{first} is the best of {len(table)}, with a total of {best[TOTAL]:.2f} (1 is best): {of_first}. "
        f"Next is {table.index[1]}, {table.iloc[1][TOTAL]:.2f}."
    )


def _points(table: pd.DataFrame, per_label: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what to look at in the best embedding, and which knob to turn."""
    points = []
    if TOTAL in table:
        mixing, conservation = table.iloc[0][[MIXING, CONSERVATION]]
        if mixing < conservation:
            points.append((
                "Mixing is the lower of the two.",
                "A penalty pulls a query to the reference: penalties=[sp.train.MMD(weight=1, anchors=True)] in "
                "map_query, map --penalty mmd:weight=1,anchors=true, with a weight of up to 10. Studies of different "
                "types should not mix.",
            ))  # fmt: skip
        else:
            points.append((
                "Conservation is the lower of the two.",
                "Where penalties were used, a smaller weight keeps more; labels in the reference (recipe scanvi) help.",
            ))  # fmt: skip
    elif MIXING in table:
        points.append((
            "High mixing is not good in itself: types that live in one batch must stay apart.",
            "Give labels_key (--labels-key), and conservation is scored, too.",
        ))  # fmt: skip
    if {"embedding", "label", "expected", "entropy", "attainable"} <= set(per_label):
        best = per_label[per_label["embedding"] == table.index[0]]
        shared, single = best[best["expected"] == "mixed"], best[best["expected"] == "apart"]
        reached = (shared["entropy"] / shared["attainable"]).sort_values()
        if len(low := reached[reached < 0.5][:_MOST_NAMES]):
            names = ", ".join(f"{shared.at[row, 'label']} ({value:.2f})" for row, value in low.items())
            points.append((
                f"Types of several batches that mix least, as a share of what even mixing gives: {names}.",
                "Either their cells differ between the batches, or batches are not mixed there.",
            ))  # fmt: skip
        crossed = single.sort_values("entropy", ascending=False)
        if len(crossed := crossed[crossed["entropy"] > 0.1][:_MOST_NAMES]):
            names = ", ".join(f"{row.label} ({row.entropy:.2f})" for row in crossed.itertuples())
            points.append((
                f"Types of one batch that mix with other batches, by entropy: {names}.",
                "They should stay apart: mix less, or look whether other batches have them under another name.",
            ))  # fmt: skip
    return points


def _scores(table: pd.DataFrame) -> str:
    """Return scores below each other, with a sentence each, and embeddings side by side."""
    head = "".join(f"<th>{for_html(name)}</th>" for name in table.index)
    rows, last = [], ""
    kinds, scores = ([str(one[level]) for one in table.columns.to_list()] for level in (0, 1))
    for kind, score, values in zip(kinds, scores, table.to_numpy(dtype=float).T, strict=True):
        if kind != last:
            title = for_html(KINDS.get(kind, kind))
            rows.append(f"<tr class='kind'><th colspan='{len(table) + 1}'>{title}</th></tr>")
        last = kind
        sentence = f"<small>{for_html(EVALUATION[score].sentence)}</small>" if score in EVALUATION else ""
        cells = "".join(map(_cell, values))
        rows.append(f"<tr><th>{for_html(name_of_score(score))}{sentence}</th>{cells}</tr>")
    return f"<div class='scroll'><table><thead><tr><th>score</th>{head}</tr></thead>{''.join(rows)}</table></div>"


def _cell(value: float) -> str:
    if not np.isfinite(value):
        return "<td class='shade'>not defined</td>"
    red, green, blue = _SHADE
    shade = f"rgba({red}, {green}, {blue}, {0.5 * min(max(value, 0), 1):.2f})"
    return f"<td class='shade' style='background: {shade}'>{value:.3f}</td>"


def _scatter(table: pd.DataFrame) -> str:
    """Return a drawing of mixing against conservation, with the names of the embeddings beside it."""
    side, left, top = 260, 46, 10
    height = max(side + 60, 24 * len(table) + 20)
    width = left + side + 48 + 7 * max(len(str(name)) for name in table.index)
    parts = [f"<rect x='{left}' y='{top}' width='{side}' height='{side}' fill='none' stroke='#888'/>"]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = left + side * tick, top + side * (1 - tick)
        parts += [
            f"<text x='{x}' y='{top + side + 16}' text-anchor='middle'>{tick:g}</text>",
            f"<text x='{left - 6}' y='{y + 4}' text-anchor='end'>{tick:g}</text>",
        ]
    parts += [
        f"<text x='{left + side / 2}' y='{top + side + 38}' text-anchor='middle'>mixing of batches</text>",
        f"<text transform='translate(12 {top + side / 2}) rotate(-90)' text-anchor='middle'>conservation</text>",
    ]
    shares = (table[one].to_numpy(dtype=float) for one in (MIXING, CONSERVATION))
    for place, (name, mixing, conservation) in enumerate(zip(table.index, *shares, strict=True)):
        color, y = color_at(place), top + 12 + 24 * place
        if np.isfinite([mixing, conservation]).all():
            parts.append(
                f"<circle cx='{left + side * mixing:.1f}' cy='{top + side * (1 - conservation):.1f}' r='6' "
                f"fill='{color}'/>"
            )
        parts += [
            f"<circle cx='{left + side + 24}' cy='{y}' r='6' fill='{color}'/>",
            f"<text x='{left + side + 36}' y='{y + 4}'>{for_html(name)}</text>",
        ]
    style = "font-family='system-ui, sans-serif' font-size='12' role='img' aria-label='mixing against conservation'"
    return f"<svg viewBox='0 0 {width} {height}' width='{width}' {style}>{''.join(parts)}</svg>"
