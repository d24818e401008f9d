"""Draw the drift of the reference with each query that was mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._colors import KNOWN, NOVEL, QUERY
from scarches_plus._text import for_figure

from ._drawing._axes import axes_or_none, new_axes
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

#: Key in a record, name and colour of each measure.
_MEASURES = {
    "relative_rmsd": ("cells moved (spread of the cells = 1)", NOVEL),
    "neighbor_preservation": ("neighbours kept", QUERY),
    "label_agreement": ("labels of neighbours kept", KNOWN),
}
_SINCE_THE_FIRST = {"marker": "D", "s": 26, "c": "white", "edgecolors": "black", "linewidths": 1, "zorder": 3}
_MOST_BATCHES = 2


def drift(lineage: Sequence[Mapping[str, Any]], *, ax: Axes | None = None) -> Axes:
    """Draw how far the reference moved with each query that was mapped, the first on top.

    Bars compare with the model before the query. From the second query on, diamonds compare with the first reference,
    where :func:`~scarches_plus.tl.map_query` was given ``drift_cells`` with their embedding.

    Parameters
    ----------
    lineage
        Records of a mapped model, ``model.state.lineage``.
    ax
        Axes to draw into.

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError
        If no record says how far cells moved: then the models came without cells, and without ``drift_cells``.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    lineage = [check.mapping("lineage", record) for record in check.names("lineage", lineage, of=object)]
    axes_or_none("ax", ax)
    mapped = [record for record in lineage if "drift" in record]  # not where labels were added
    if not any("relative_rmsd" in record["drift"] for record in mapped):
        message = (
            "there is no drift of cells to draw; pass model.state.lineage of a model that sp.tl.map_query mapped, with "
            "drift_cells=reference if the reference model came without cells"
        )
        raise ValueError(message)
    values = {name: _values(mapped, name) for name in _MEASURES}
    shown = [name for name in _MEASURES if np.isfinite(values[name]).any()]
    names = for_figure(_name(place, record) for place, record in enumerate(mapped, 1))
    if ax is None:
        ax = new_axes(6.5 + 0.08 * max(map(len, names)), 1.6 + (0.15 + 0.22 * len(shown)) * len(names))

    rows, height = np.arange(len(mapped))[::-1], 0.8 / len(shown)
    widest = max(1.0, *(np.nanmax([values[name], _values(mapped, f"total_{name}")]) for name in shown))
    for place, name in enumerate(shown):
        label, color = _MEASURES[name]
        at, now, total = rows + 0.4 - (place + 0.5) * height, values[name], _values(mapped, f"total_{name}")
        ax.barh(at, now, height=0.85 * height, color=color, label=label)
        total[0] = np.nan  # the first query starts from the first reference
        for y, value, since in zip(at, now, total, strict=True):
            if np.isfinite(value):
                text = f"{value:.2f} ({since:.2f})" if np.isfinite(since) else f"{value:.2f}"
                ax.text(np.fmax(value, since) + 0.03 * widest, y, text, va="center", fontsize=8)
        ax.scatter(total, at, **_SINCE_THE_FIRST)
    for y, value in zip(rows, values["relative_rmsd"], strict=True):
        if not np.isfinite(value):
            ax.text(0.02 * widest, y, "cells were not at hand", va="center", fontsize=8)
    legend = list(ax.containers)
    if np.isfinite([_values(mapped[1:], f"total_{name}") for name in shown]).any():
        legend.append(ax.scatter([], [], label="since the first reference (in brackets)", **_SINCE_THE_FIRST))
    ax.set_yticks(rows, names)
    ax.set(xlim=(0, 1.25 * widest), ylim=(-0.6, len(mapped) - 0.4), title="Drift of the reference")
    ax.tick_params(axis="y", length=0)
    ax.legend(handles=legend, frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0)
    ax.spines[["top", "right"]].set_visible(False)
    return plain_texts(ax)


def _values(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([record["drift"].get(name, np.nan) for record in records], dtype=float)


def _name(place: int, record: Mapping[str, Any]) -> str:
    """Return the number of a query, and its batches if there are few."""
    batches = [str(one) for one in record.get("new_batches", ())]
    named = f" ({', '.join(batches)})" if 0 < len(batches) <= _MOST_BATCHES else ""
    return f"query {place}{named}"
