"""Draw the shares of accepted, uncertain and novel cells of each label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._colors import GREY, KNOWN, NOVEL
from scarches_plus._text import for_figure

from ._drawing._axes import axes_or_none, new_axes
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLORS = {"accepted": KNOWN, "uncertain": GREY, "novel": NOVEL}


def label_summary(summary: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw for each label the shares of its cells that were accepted, uncertain or novel.

    The most frequent label is on top.

    Parameters
    ----------
    summary
        Result of :func:`scarches_plus.tl.label_summary`.
    ax
        Axes to draw into.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        If the table is no summary, holds no counts, or is empty.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    axes_or_none("ax", ax)
    columns = ["n_cells", *COLORS]
    check.table("summary", summary, columns, numbers=columns, made_by="sp.tl.label_summary")
    if not len(summary):
        message = "the summary has no label"
        raise ValueError(message)
    table = summary.iloc[::-1]
    counts = table[[*COLORS]].to_numpy(dtype=float)
    if not ((counts >= 0).all() and (table["n_cells"] > 0).all() and (counts.sum(axis=1) <= table["n_cells"]).all()):
        message = (
            "summary has counts that are missing, negative or above n_cells: pass what sp.tl.label_summary returned"
        )
        raise ValueError(message)
    names = [f"{name} ({n:,})" for name, n in zip(for_figure(table.index), table["n_cells"], strict=True)]
    if ax is None:
        ax = new_axes(5 + 0.08 * max(map(len, names)), max(0.3 * len(names) + 1.2, 2.5))
    left = np.zeros(len(table))
    for reason, color in COLORS.items():
        shares = (table[reason] / table["n_cells"]).to_numpy(dtype=float)
        ax.barh(names, shares, left=left, color=color, label=reason, height=0.75)
        left += shares
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    ax.set(xlim=(0, 1), xlabel="share of cells", ylabel="best label (cells)")
    ax.spines[["top", "right"]].set_visible(False)
    return plain_texts(ax)
