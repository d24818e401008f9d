"""Write names on the islands of a picture, none over another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus._text import for_figure

from ._texts import plain_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_DIRECTIONS = 16
_RINGS = 400
#: Rings within which a name keeps inside the axes.
_INSIDE = 100
#: Gap between names, in heights of a name.
_GAP = 0.15
#: Pixels around a point that no name covers.
_DOT = 8
_TEXT_COLOR = "#222222"
_LINE_COLOR = "#888888"


def name_islands(ax: Axes, places: NDArray, names: Sequence[str], *, beside: bool = False) -> None:
    """Write each name at its place, or as near as others leave room, with a line to the place.

    Parameters
    ----------
    ax
        Axes that have their limits and their size in the figure.
    places
        In units of the data, shape ``(n_names, 2)``.
    names
        Names.
    beside
        Leave the places themselves free.
    """
    if not len(names):
        return
    size = 9 if len(names) <= 12 else 8 if len(names) <= 24 else 7
    style = {"ha": "center", "va": "center", "fontsize": size, "color": _TEXT_COLOR, "zorder": 6, "in_layout": False}
    paper = None if beside else {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    texts = [ax.text(*place, name, bbox=paper, **style) for place, name in zip(places, for_figure(names), strict=True)]
    plain_texts(ax)
    ax.get_figure(root=True).draw_without_rendering()  # the layout is settled, and texts have a size
    boxes = [text.get_window_extent() for text in texts]
    sizes = np.array([(box.width, box.height) for box in boxes])
    frame = ax.get_window_extent()
    wanted = ax.transData.transform(places)
    taken = wanted if beside else np.empty((0, 2))
    found = spread_boxes(wanted, sizes * (1 + _GAP), np.array([frame.min, frame.max]), taken)
    moved = np.abs(found - wanted) > sizes / 2
    for text, start, end, is_far in zip(texts, places, ax.transData.inverted().transform(found), moved, strict=True):
        text.set_position(end)
        if is_far.any():
            line = {"color": _LINE_COLOR, "linewidth": 0.7, "zorder": 5, "in_layout": False}
            ax.plot(*np.transpose([start, end]), scalex=False, scaley=False, **line)


def spread_boxes(wanted: NDArray, sizes: NDArray, frame: NDArray, taken: NDArray) -> NDArray[np.float64]:
    """Return centres of boxes of which none overlaps another, each as near as can be to where it is wanted.

    Parameters
    ----------
    wanted
        Centres, shape ``(n, 2)``; earlier boxes choose first.
    sizes
        Widths and heights, shape ``(n, 2)``.
    frame
        Lower left and upper right corner within which boxes lie where there is room, shape ``(2, 2)``.
    taken
        Points that no box covers, shape ``(m, 2)``.
    """
    turns = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
    around = np.column_stack([np.sin(turns), np.cos(turns)])
    n_taken, centers = len(taken), np.asarray(taken, dtype=float)
    sizes_so_far = np.vstack([np.full((n_taken, 2), _DOT), sizes])
    for place, size in zip(wanted, sizes, strict=True):
        for ring in range(_RINGS):
            tried = place + around[: 1 if ring == 0 else None] * ring * size[1] / 4
            apart = np.abs(tried[:, None] - centers) >= (size + sizes_so_far[: len(centers)]) / 2
            free = apart.any(axis=2).all(axis=1)
            if ring < _INSIDE:
                free &= ((tried - size / 2 >= frame[0]) & (tried + size / 2 <= frame[1])).all(axis=1)
            if free.any():
                centers = np.vstack([centers, tried[free.argmax()]])
                break
        else:
            centers = np.vstack([centers, place])
    return centers[n_taken:]


def densest_place(points: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Return the middle of the densest part of some points: three times the nearer half around its median."""
    for _ in range(3):
        apart = np.linalg.norm(points - _median(points, weights), axis=1)
        nearer = np.argsort(apart, kind="stable")[: (len(points) + 1) // 2]
        points, weights = points[nearer], weights[nearer]
    return _median(points, weights)


def _median(points: NDArray, weights: NDArray) -> NDArray[np.float64]:
    orders = np.argsort(points, axis=0, kind="stable")
    reached = np.cumsum(weights[orders], axis=0)
    rows = (reached < reached[-1] / 2).sum(axis=0)
    return np.array([points[orders[row, axis], axis] for axis, row in enumerate(rows)], dtype=np.float64)
