"""Draw an evaluation: a table of scores, and mixing against conservation."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _arguments as check
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


def report(report: Any, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
    """Draw an evaluation: a table of scores as of scib, and mixing against conservation.

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
        width = 2.5 + 0.62 * table.shape[1]
        size = (width + 4.0, max(3.4, 1.8 + 0.45 * len(table)))
        _, axes = plt.subplots(
            1, 2, figsize=size, dpi=settings.figure_dpi, width_ratios=[width, 3.2], layout="constrained"
        )
    if len(axes) != 2:
        message = f"axes must be two, for the table and the scatter; there are {len(axes)}"
        raise ValueError(message)
    _draw_table(table, axes[0], plt.get_cmap)
    _draw_scatter(table, axes[1])
    return plain_texts(axes[0]), plain_texts(axes[1])


def _draw_table(table: pd.DataFrame, ax: Axes, colormap: Callable[[str], Colormap]) -> None:
    kinds, names = ([str(one[level]) for one in table.columns.to_list()] for level in (0, 1))
    gaps = np.cumsum([0, *(0.5 * (after != before) for before, after in pairwise(kinds))])
    places, rows = np.arange(len(kinds)) + gaps, np.arange(len(table))
    for kind, x, values in zip(kinds, places, table.to_numpy(dtype=float).T, strict=True):
        defined = np.isfinite(values)
        shades = colormap(_COLORS[kind])(0.15 + 0.6 * np.clip(values, 0, 1))
        ax.scatter(np.full(defined.sum(), x), rows[defined], s=520, c=shades[defined], zorder=1)
        for row, number in zip(rows, values, strict=True):
            ax.text(x, row, f"{number:.2f}" if np.isfinite(number) else "-", ha="center", va="center", fontsize=8)
    for kind in dict.fromkeys(kinds):
        of_kind = places[[one == kind for one in kinds]]
        ax.text(of_kind.mean(), len(table) - 0.35, kind, ha="center", va="top", fontsize=10, fontweight="bold")
    ax.set(xlim=(-0.7, places[-1] + 0.7), ylim=(len(table) - 0.2, -0.7), yticks=rows)
    ax.set_yticklabels(for_figure(table.index))
    ax.set_xticks(places, names, rotation=40, ha="left")
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _draw_scatter(table: pd.DataFrame, ax: Axes) -> None:
    if not {("summary", "mixing"), ("summary", "conservation")} <= set(table.columns):
        ax.set_axis_off()
        return
    mixing, conservation = (table["summary", kind].to_numpy(dtype=float) for kind in ("mixing", "conservation"))
    names = for_figure(table.index)
    dots = [
        ax.scatter(mixing[number], conservation[number], color=f"C{number % 10}", label=name, zorder=2)
        for number, name in enumerate(names)
    ]
    ax.set(xlabel="mixing of batches", ylabel="conservation of biology", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_aspect("equal")
    ax.grid(alpha=0.3)
    legend = ax.legend(dots, [""] * len(dots), fontsize="small", loc="lower left")
    for text, name in zip(legend.get_texts(), names, strict=True):  # an underscore at its beginning would hide it
        text.set_text(name)
