"""Draw the differential abundance of labels with its intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._colors import NOVEL, QUERY, UNSURE
from scarches_plus._text import for_figure, for_message

from ._drawing._axes import axes_or_none, new_axes
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_RATIOS = ["log2_ratio", "log2_ratio_low", "log2_ratio_high"]
_CELLS = ["n_cells1", "n_cells2"]


def abundance(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw for each label the log ratio of its shares in two groups, with its interval; the largest is on top.

    Points are filled where the interval excludes 0, that is, where the share is credibly larger in one of the groups.
    Intervals that are much wider than all ratios end in an arrow.

    Parameters
    ----------
    table
        Result of :func:`scarches_plus.tl.differential_abundance`.
    ax
        Axes to draw into.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        If the table is not of that function, is empty, compares several pairs of groups, or an interval is missing.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    axes_or_none("ax", ax)
    columns = [*_RATIOS, *_CELLS, "group1", "group2"]
    check.table("table", table, columns, numbers=[*_RATIOS, *_CELLS], made_by="sp.tl.differential_abundance")
    if not len(table):
        message = "table has no label"
        raise ValueError(message)
    if len(pairs := table[["group1", "group2"]].drop_duplicates()) > 1:
        message = (
            f"table compares {len(pairs)} pairs of groups: draw one of them, such as table[table['group1'] == ...]"
        )
        raise ValueError(message)
    ratio, low, high = (table[name].to_numpy(dtype=float) for name in _RATIOS)
    if not (low <= high).all():
        message = "table lacks intervals of ratios: pass what sp.tl.differential_abundance returned"
        raise ValueError(message)
    has_point = np.isfinite(ratio)
    order = np.argsort(np.where(has_point, ratio, (low + high) / 2), kind="stable")
    table, ratio, low, high, has_point = table.iloc[order], ratio[order], low[order], high[order], has_point[order]
    first, second = (for_message(table[name].iloc[0], 30) for name in ("group1", "group2"))
    cells = zip(for_figure(table.index), table["n_cells1"], table["n_cells2"], strict=True)
    names = [f"{name} ({n:,.0f}, {m:,.0f})" for name, n, m in cells]
    if ax is None:
        ax = new_axes(4.5 + 0.08 * max(map(len, names)), max(0.3 * len(names) + 1.4, 2.5))

    rows = np.arange(len(table))
    widest = max(-low.min(), high.max(), 0.5)
    limit = 1.1 * min(widest, 3 * np.abs(ratio[has_point]).max(initial=2))
    ax.axvline(0, color="black", linewidth=1, zorder=0)
    kinds = {f"more in {first}": (low > 0, NOVEL), f"more in {second}": (high < 0, QUERY)}
    kinds["not told apart"] = (~(low > 0) & ~(high < 0), UNSURE)
    for name, (of_kind, color) in kinds.items():
        _draw_intervals(ax, rows[of_kind], np.stack([low, high])[:, of_kind], limit, color)
        style = {
            "s": 34,
            "c": "white" if color == UNSURE else color,
            "edgecolors": color,
            "linewidths": 1.2,
            "zorder": 3,
        }
        ax.scatter(ratio[of_kind & has_point], rows[of_kind & has_point], label=name, **style)
    ax.set_yticks(rows, names)
    ax.set(
        xlim=(-limit, limit),
        ylim=(-0.7, len(table) - 0.3),
        xlabel=f"log2 ratio of shares, {first} over {second}",
        ylabel="label (cells of each)",
    )
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, columnspacing=1, handletextpad=0.2)
    ax.spines[["top", "right"]].set_visible(False)
    return plain_texts(ax)


def _draw_intervals(ax: Axes, rows: NDArray, ends: NDArray, limit: float, color: str) -> None:
    """Draw intervals, of ends of shape ``(2, n)``, up to the limits, and arrows where they go on."""
    low, high = ends
    ax.hlines(rows, np.maximum(low, -limit), np.minimum(high, limit), colors=color, linewidth=1.6, zorder=2)
    for beyond, end, marker in ((low < -limit, -limit, "<"), (high > limit, limit, ">")):
        ax.scatter(np.full(beyond.sum(), end), rows[beyond], s=30, c=color, marker=marker, clip_on=False, zorder=3)
