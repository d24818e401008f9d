"""Draw the fixed picture of a reference, with query cells in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import name_of
from scarches_plus._colors import BEHIND, GREY, NOVEL, QUERY, color_at, colors_of
from scarches_plus._reference_summary import map_of
from scarches_plus._text import for_figure, for_message

from ._drawing._axes import axes_or_none, new_axes
from ._drawing._columns import categorical, column
from ._drawing._islands import densest_place, name_islands
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData
    from numpy.typing import NDArray

    from scarches_plus._reference_map import ReferenceMap
    from scarches_plus._reference_summary import ReferenceSummary

#: With more than eight names not only the colours change.
MARKS = ("o", "s", "^", "D", "v", "p")
_COLORS_OF_A_MARK = 8
#: Points of a reference above which its density is drawn.
_MOST_POINTS = 50_000
_MOST_IN_LEGEND = 30


def reference_map(
    reference_map: ReferenceMap | ReferenceSummary,
    query: AnnData | MuData | None = None,
    *,
    color: str | None = None,
    novel_key: str | None = None,
    key: str = _keys.MAP,
    size: float | None = None,
    cmap: str = "viridis",
    ax: Axes | None = None,
) -> Axes:
    """Draw the fixed picture of a reference with its labels on it, and query cells above.

    Parameters
    ----------
    reference_map
        What :func:`scarches_plus.tl.reference_map` returned, or a summary with a map. More than 50,000 points are drawn
        as a density.
    query
        Cells that :func:`scarches_plus.tl.place` placed; ``None`` draws the reference alone, in the colours of its
        labels.
    color
        Column of the query's ``obs`` that colours its cells, in the colours of ``uns`` if there are any. Or a
        ``key_added`` of :func:`scarches_plus.tl.presence`, such as ``"presence"``, which colours the reference instead.
    novel_key
        Column of :func:`scarches_plus.tl.detect_novel`: novel cells are crosses, cells that were not judged are
        hollow, and all others grey unless `color` colours them. Positions say nothing about novelty.
    key
        ``obsm`` slot of the query's positions.
    size
        Area of a query cell in points squared; by default it falls with the number of cells.
    cmap
        Colour map of numbers.
    ax
        Axes to draw into. Names are placed for their present size.

    Returns
    -------
    The Axes.

    Raises
    ------
    KeyError
        If positions or a column are missing.
    ValueError
        If positions or scores do not belong to the map.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    picture = map_of("reference_map", reference_map)
    if query is not None:
        check.cells("query", query, mudata=True)
    check.texts(key=key, cmap=cmap)
    check.texts_or_none(color=color, novel_key=novel_key)
    if size is not None:
        check.number("size", size, above=0)
    axes_or_none("ax", ax)
    if query is None and (color or novel_key):
        message = f"{'color' if color else 'novel_key'} is of query cells: pass query="
        raise ValueError(message)
    scores = None if query is None or color is None else _presence(picture, query, color)
    layers = [] if query is None or scores is not None else _query_layers(query, color, novel_key, key, size)

    if ax is None:
        named = [len(layer["label"]) for layer in layers if layer["label"] != "_"]
        ax = new_axes(6.5 + 0.07 * max(named, default=0), max(5, 0.19 * len(named) + 0.5))
    colored = _draw_reference(ax, picture, scores, cmap, labels=query is None)
    for layer in layers:
        colored = _draw_layer(ax, cmap=cmap, **layer) or colored
    if colored is not None:
        bar = ax.get_figure().colorbar(colored, ax=ax, pad=0.02, fraction=0.05, shrink=0.6, aspect=20)
        bar.set_label(for_message(color, 60))
        plain_texts(bar.ax)
    if layers:
        legend = ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, borderaxespad=0)
        for handle in legend.legend_handles:
            handle.set_sizes([28])
            handle.set_alpha(1)
    ax.set(xticks=[], yticks=[])
    ax.set_aspect("equal", adjustable="datalim")
    ax.spines[:].set_visible(False)
    _name_labels(ax, picture)
    return plain_texts(ax)


def _presence(reference_map: ReferenceMap, query: AnnData | MuData, color: str) -> NDArray | None:
    """Return the scores of the map's points if `color` names some."""
    record = query.uns.get(_keys.UNS, {}).get(_keys.PRESENCE, {}).get(color)
    if record is None:
        return None
    if len(record["scores"]) != len(reference_map.points):
        message = (
            f"presence {color!r} is of {len(record['scores'])} points and the map has {len(reference_map.points)}: "
            "run sp.tl.presence(reference_map, query) with this map"
        )
        raise ValueError(message)
    return np.asarray(record["scores"], dtype=float)


def _draw_reference(
    ax: Axes, reference_map: ReferenceMap, scores: NDArray | None, cmap: str, *, labels: bool
) -> Any | None:
    """Draw the reference, and return what a colour bar explains."""
    points, n = reference_map.points, len(reference_map.points)
    if n > _MOST_POINTS:
        grid = {"gridsize": 200, "mincnt": 1, "linewidths": 0.2, "zorder": 1}
        if scores is not None:
            return ax.hexbin(*points.T, C=scores, cmap=cmap, vmin=0, vmax=1, **grid)
        density = ax.hexbin(*points.T, cmap="Greys", bins="log", **grid)
        low, high = density.get_clim()
        density.set_clim(low / 4, high**2 + 1)  # light, whatever the number of cells
        return None
    area = float(np.clip(40_000 / n, 3, 30)) * np.sqrt(reference_map.n_cells / reference_map.n_cells.mean())
    style = {"s": area, "linewidths": 0, "zorder": 1, "rasterized": n > 5000}
    if scores is not None:
        return ax.scatter(*points.T, c=scores, cmap=cmap, vmin=0, vmax=1, **style)
    shown: Any = BEHIND
    if labels and reference_map.labels:
        palette = np.array([*map(color_at, range(len(reference_map.labels))), BEHIND])
        shown = palette[reference_map.of_label]
    ax.scatter(*points.T, c=shown, alpha=0.6 if labels else 1, label="reference", **style)
    return None


def _query_layers(
    query: AnnData | MuData, color: str | None, novel_key: str | None, key: str, size: float | None
) -> list[dict[str, Any]]:
    """Return what is drawn of the query, the last on top."""
    if key not in query.obsm:
        message = f"query.obsm has no {key!r}: run sp.tl.place(query, reference_map, key_added={key!r})"
        raise KeyError(message)
    places = np.asarray(query.obsm[key], dtype=float)
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        message = f"query.obsm[{key!r}] has no two finite coordinates for each cell: key= names what sp.tl.place wrote"
        raise ValueError(message)
    area = float(np.clip(24_000 / max(len(places), 1), 4, 20)) if size is None else size
    rest = np.ones(len(places), dtype=bool)
    marked = []
    if novel_key is not None:
        fix = f"run sp.tl.detect_novel(query, reference, labels_key, ..., key_added={novel_key!r})"
        found = column(query, novel_key, fix)
        if found.dtype != bool:
            message = f"obs[{novel_key!r}] must be boolean, as sp.tl.detect_novel writes it (novel_key)"
            raise ValueError(message)
        novel = found.to_numpy()
        state = query.obs.get(_keys.novel_state(novel_key))
        unjudged = np.zeros_like(rest) if state is None else (state == "not judged").to_numpy()
        rest = ~novel & ~unjudged
        marked = [
            _layer(places, unjudged, "not judged", area, c="none", edgecolors=GREY, linewidths=0.8),
            _layer(places, novel, "novel", 1.6 * area, c=NOVEL, marker="x", linewidths=1.1),
        ]
    if color is not None:
        values = column(query, color, "give a column of the query, or key_added of sp.tl.presence")
        layers = _colored(places, rest, values, query.uns.get(_keys.colors(color), []), area)
    elif novel_key is not None:
        layers = [_layer(places, rest, "not novel", area, c=GREY)]
    else:
        layers = [_layer(places, rest, "query", area, c=QUERY)]
    return [layer for layer in [*layers, *marked] if len(layer["places"])]


def _colored(
    places: NDArray, rows: NDArray[np.bool_], values: pd.Series, stored: Any, area: float
) -> list[dict[str, Any]]:
    """Return layers of cells coloured by a column."""
    if is_numeric_dtype(values) and not is_bool_dtype(values):
        known = rows & np.isfinite(values.to_numpy(dtype=float, na_value=np.nan))
        layers = [_layer(places, rows & ~known, "no value", area, c=GREY)]
        return [*layers, _layer(places, known, "query", area, c=values.to_numpy(dtype=float, na_value=np.nan)[known])]
    named = values if hasattr(values, "cat") else categorical(values)
    names = [name_of(one) for one in named.cat.categories]
    colors = colors_of(names, stored, grey=(_keys.UNKNOWN,))
    codes = named.cat.codes.to_numpy()
    in_legend = for_figure(names, in_legend=True) if len(names) <= _MOST_IN_LEGEND else [""] * len(names)
    marks = _marks(names, stored)
    layers = [
        _layer(places, rows & (codes == i), in_legend[i], area, c=colors[names[i]], marker=marks[names[i]])
        for i in sorted(range(len(names)), key=lambda i: names[i] != _keys.UNKNOWN)  # cells without a label lie below
    ]
    return [_layer(places, rows & (codes < 0), "no value", area, c=GREY), *layers]


def _marks(names: Sequence[str], stored: Sequence[object]) -> dict[str, str]:
    """Return a mark for each name, one for all in the colours of the user."""
    labels = [] if len(stored) >= len(names) else [name for name in names if name != _keys.UNKNOWN]
    marks = {name: MARKS[place // _COLORS_OF_A_MARK % len(MARKS)] for place, name in enumerate(labels)}
    return dict.fromkeys(names, MARKS[0]) | marks


def _layer(places: NDArray, rows: NDArray[np.bool_], name: str, area: float, **style: Any) -> dict[str, Any]:
    label = f"{name} ({int(rows.sum()):,})" if name else "_"
    return {"places": places[rows], "label": label, "style": {"s": area, "linewidths": 0, **style}}


def _draw_layer(ax: Axes, *, places: NDArray, label: str, style: dict[str, Any], cmap: str) -> Any | None:
    """Draw some cells, and return what a colour bar explains."""
    numbers = not isinstance(style["c"], str)
    drawn = ax.scatter(
        *places.T, label=label, zorder=3, alpha=0.85, rasterized=len(places) > 5000,
        **({"cmap": cmap} if numbers else {}), **style,
    )  # fmt: skip
    return drawn if numbers else None


def _name_labels(ax: Axes, reference_map: ReferenceMap) -> None:
    """Write the labels on their islands, those of most cells first."""
    sizes = np.bincount(reference_map.of_label + 1, reference_map.n_cells, minlength=len(reference_map.labels) + 1)[1:]
    order = [one for one in np.argsort(-sizes, kind="stable") if sizes[one]]
    points, n_cells = reference_map.points, reference_map.n_cells
    places = [densest_place(points[rows], n_cells[rows]) for rows in (reference_map.of_label == one for one in order)]
    name_islands(ax, np.array(places).reshape(-1, 2), [reference_map.labels[one] for one in order])
