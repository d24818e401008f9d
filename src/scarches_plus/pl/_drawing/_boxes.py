"""Draw box plots of values by group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus._text import for_figure

from ._axes import new_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


def by_median(values: NDArray[np.float64], groups: pd.Series) -> dict[str, NDArray[np.float64]]:
    """Return the values of each category, the smallest median first, equal ones by name."""
    of_group = {name: values[(groups == name).to_numpy()] for name in groups.cat.categories}
    return {name: of_group[name] for name in sorted(of_group, key=lambda name: (np.median(of_group[name]), name))}


def draw_boxes(groups: Mapping[str, NDArray[np.float64]], colors: Mapping[str, str], ax: Axes | None) -> Axes:
    """Draw a box plot of each group, the first at the bottom.

    Boxes have quartiles and median, and whiskers from the 5th to the 95th percentile.
    """
    names = for_figure(groups)
    if ax is None:
        longest = max(len(name) for name in names)
        ax = new_axes(4.5 + 0.08 * longest, max(0.3 * len(groups) + 1.2, 2.5))
    boxes = ax.boxplot(
        list(groups.values()),
        orientation="horizontal",
        tick_labels=[f"{name} ({len(values):,})" for name, values in zip(names, groups.values(), strict=True)],
        widths=0.65,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for box, name in zip(boxes["boxes"], groups, strict=True):
        box.set_facecolor(colors[name])
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def name_colors(ax: Axes, names: Mapping[str, str]) -> None:
    """Say above the boxes what their colours mean."""
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=color, label=name) for name, color in names.items()]
    ax.legend(handles=handles, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
