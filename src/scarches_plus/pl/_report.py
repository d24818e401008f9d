"""Draw an evaluation: a table of scores, and mixing against conservation."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._colors import color_at
from scarches_plus._score_words import KINDS, name_of_score
from scarches_plus._settings import settings
from scarches_plus._text import for_figure

from ._drawing._axes import axes_or_none
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_COLORS = {
    "mixing": "Blues",
    "conservation": "Greens",
    "agreement": "Purples",
    "mapping": "Oranges",
    "summary": "Greys",
}
#: What the scatter is of.
_SCATTERED = {("summary", "mixing"), ("summary", "conservation")}
#: Inches of the names of scores, and the letters that a line of them has.
_NAMES, _LETTERS = 2.7, 26


def report(report: Any, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
    """Draw an evaluation: a table of scores, and mixing against conservation.

    Embeddings stand side by side, the best first; :doc:`/guide/scores` says what each score is.

    Parameters
    ----------
    report
        Result of :func:`scarches_plus.metrics.evaluate`.
    axes
        Two axes to draw into; by default a new figure.

    Returns
    -------
    The axes of the table and of the scatter, which stays empty without labels.

    Raises
    ------
    ValueError
        If the report has no scores, or `axes` are not two.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    import matplotlib.pyplot as plt

    if not hasattr(report, "table"):
        message = f"report must be a Report of sp.metrics.evaluate, not {check.shown(report)}"
        raise TypeError(message)
    if axes is not None:
        for one in check.names("axes", axes, of=object, least=2):
            axes_or_none("axes", one)
    table = report.table()
    if table.empty:
        message = "there is nothing to draw: the report has no scores"
        raise ValueError(message)
    if ("summary", "total") in table:
        table = table.sort_values(("summary", "total"), ascending=False)
    if axes is None:
        width, beside = 0.62 * (len(table) + 0.4), 2.8 if set(table) >= _SCATTERED else 0.1
        lines = table.shape[1] + table.columns.get_level_values(0).nunique()
        height = max(1.2 + 0.36 * lines, 3.8 + 0.2 * len(table) if beside > 1 else 2)
        size = (_NAMES + width + 1.25 * beside, height)
        _, axes = plt.subplots(
            1, 2, figsize=size, dpi=settings.figure_dpi, width_ratios=[width, beside], layout="constrained"
        )
    if len(axes) != 2:
        message = f"axes must be two, for the table and the scatter; there are {len(axes)}"
        raise ValueError(message)
    _draw_table(table, axes[0], plt.get_cmap)
    _draw_scatter(table, axes[1])
    return plain_texts(axes[0]), plain_texts(axes[1])


def _draw_table(table: pd.DataFrame, ax: Axes, colormap: Callable[[str], Colormap]) -> None:
    """Draw scores below each other under their kinds, and embeddings side by side."""
    columns = np.arange(len(table))
    lines: list[tuple[str, str, Any]] = []
    kinds, scores = ([str(one[level]) for one in table.columns.to_list()] for level in (0, 1))
    for kind, score, numbers in zip(kinds, scores, table.to_numpy(dtype=float).T, strict=True):
        if kind not in {line[0] for line in lines}:
            lines.append((kind, KINDS.get(kind, kind), None))
        lines.append((kind, name_of_score(score), numbers))
    for y, (kind, _, values) in enumerate(lines):
        if values is None:
            continue
        defined = np.isfinite(values)
        shades = colormap(_COLORS[kind])(0.1 + 0.5 * np.clip(values[defined], 0, 1))
        ax.scatter(columns[defined], np.full(defined.sum(), y), s=420, c=shades, zorder=1)
        for x, number in zip(columns, values, strict=True):
            ax.text(x, y, f"{number:.2f}" if np.isfinite(number) else "-", ha="center", va="center", fontsize=8)
    ax.set(xlim=(-0.7, len(table) - 0.3), ylim=(len(lines) - 0.3, -0.7))
    ax.set_yticks(range(len(lines)), [fill(name, _LETTERS) for _, name, _ in lines], fontsize=9, linespacing=0.95)
    for text, (_, _, values) in zip(ax.get_yticklabels(), lines, strict=True):
        text.set_fontweight("bold" if values is None else "normal")
    ax.set_xticks(columns, for_figure(table.index), rotation=40, ha="left")
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _draw_scatter(table: pd.DataFrame, ax: Axes) -> None:
    if not set(table) >= _SCATTERED:
        ax.set_axis_off()
        return
    mixing, conservation = (table["summary", kind].to_numpy(dtype=float) for kind in ("mixing", "conservation"))
    names = for_figure(table.index)
    dots = [
        ax.scatter(mixing[number], conservation[number], color=color_at(number), label=name, zorder=2)
        for number, name in enumerate(names)
    ]
    ax.set(xlabel="mixing of batches", ylabel="conservation of biology", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_aspect("equal", anchor="N")
    ax.grid(alpha=0.3)
    below = {"loc": "upper left", "bbox_to_anchor": (0, -0.22), "frameon": False, "borderaxespad": 0}
    legend = ax.legend(dots, [""] * len(dots), fontsize="small", **below)
    for text, name in zip(legend.get_texts(), names, strict=True):  # an underscore at its beginning would hide it
        text.set_text(name)
