"""Draw the reliability diagram of predicted labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._colors import color_at
from scarches_plus._text import for_figure

from ._drawing._axes import axes_or_none, new_axes
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
#: Curves whose names fit into the diagram.
_MOST_INSIDE = 4


def reliability(curve: pd.DataFrame | Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw how often predictions are right over how sure they are; on the diagonal they mean what they say.

    Parameters
    ----------
    curve
        Result of :func:`scarches_plus.metrics.reliability_curve`, or several by name. Points are as large as the bins
        are full.
    ax
        Axes to draw into.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        If there is no curve.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    if not isinstance(curve, Mapping):
        curve = {"": curve}
    axes_or_none("ax", ax)
    curves: dict[str, pd.DataFrame] = dict(curve)
    if not curves:
        message = "there is no curve to draw"
        raise ValueError(message)
    for name, table in curves.items():
        columns = ["confidence", "accuracy", "n_cells"]
        shown = "curve" if name == "" else f"curve[{name!r}]"
        check.table(shown, table, columns, numbers=columns, made_by="sp.metrics.reliability_curve")
    beside = len(curves) > _MOST_INSIDE
    if ax is None:
        side = max(4, 0.2 * len(curves)) if beside else 4
        ax = new_axes(side + 3.5 * beside, side)
    ax.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, zorder=0)
    names = for_figure(curves, in_legend=True) if any(map(str, curves)) else [""]
    for place, (name, table) in enumerate(zip(names, curves.values(), strict=True)):
        ax.plot(table["confidence"], table["accuracy"], linewidth=1, color=color_at(place))
        error = (
            f"calibration error {table.attrs['calibration_error']:.3f}" if "calibration_error" in table.attrs else ""
        )
        sizes = 8 + 150 * np.sqrt(table["n_cells"] / table["n_cells"].sum())
        ax.scatter(
            table["confidence"],
            table["accuracy"],
            sizes,
            color=color_at(place),
            alpha=0.7,
            label=", ".join(filter(None, [name, error])),
        )
    if any(text for text in ax.get_legend_handles_labels()[1]):
        place_beside = {"bbox_to_anchor": (1, 1), "borderaxespad": 0} if beside else {}
        legend = ax.legend(frameon=False, loc="upper left", fontsize="small", **place_beside)
        for handle in legend.legend_handles:
            handle.set_sizes([30])
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability of the prediction", ylabel="share that is right")
    ax.set_aspect("equal")
    ax.spines[["top", "right"]].set_visible(False)
    return plain_texts(ax)
