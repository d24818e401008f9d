"""The papers' figures, from the table of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._rows import COSTS, read_rows
from ._scores import EXTRA, SCORES
from ._table import interval, of_matrix, succeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._config import Matrix

#: Colours that people with any colour vision tell apart (Okabe and Ito), and marks beside them.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKS = "osD^vPX"


def strategies(rows: pd.DataFrame) -> Figure:
    """scArches, Fig. 2d-e: what trains, how batches mix, what is kept of each batch's neighbourhoods."""
    figure, axes = _panels(rows, ["trained parameters", "EBM", "neighbour preservation"])
    axes[0].set_xscale("log")
    return figure


def clcvae(rows: pd.DataFrame) -> Figure:
    """CLCVAE's table: surgery, EWC and all weights."""
    scores = ["graph connectivity", "silhouette of batches", "silhouette of labels", "isolated labels"]
    return _panels(rows, scores)[0]


def kni(rows: pd.DataFrame) -> Figure:
    """KNI by model."""
    return _by_data(rows, {"KNI": "KNI"})


def unknown(rows: pd.DataFrame) -> Figure:
    """How well the uncertainty of labels finds cells of types that the reference lacks."""
    figure = _by_data(rows, {"transfer AUROC": "nearest reference cells", "own AUROC": "the method's own labels"})
    for ax in figure.axes:
        ax.axvline(0.5, color="0.5", linewidth=1, linestyle=":")
    figure.supxlabel("AUROC of unseen types; 0.5 is chance", fontsize="medium")
    return figure


def sizes(rows: pd.DataFrame) -> Figure:
    """scArches, Fig. 2f-h: mixing, preservation and cost over the number of cells, mean and standard deviation."""
    import matplotlib.pyplot as plt

    smaller = rows[rows["fraction"] < 1]
    pairs = set(zip(smaller["data"], smaller["method"], strict=True))
    rows = rows[[pair in pairs for pair in zip(rows["data"], rows["method"], strict=True)]]
    rows = rows.assign(**{"joint cells": rows["reference cells"] + rows["query cells"]})
    names, scores = _unique(rows["data"]), ("EBM", "neighbour preservation", "query CPU seconds")
    figure, axes = plt.subplots(
        len(scores), len(names), figsize=(1.8 + 3.4 * len(names), 2.8 * len(scores)), squeeze=False, sharex="col", sharey="row",
        layout="constrained",
    )  # fmt: skip
    styles = _styles(_unique(rows["method"]))
    for column, name in enumerate(names):
        for line, score in enumerate(scores):
            ax = axes[line, column]
            of_data = rows[rows["data"] == name]
            of_data = of_data.assign(cells=of_data.groupby("fraction")["joint cells"].transform("mean"))
            for method, of_method in of_data.groupby("method", sort=False):
                by_size = of_method.groupby("cells")[score]
                ax.errorbar(
                    by_size.mean().index, by_size.mean(), by_size.std().fillna(0), capsize=2, linewidth=1.2, markersize=5,
                    label=method, **styles[method],
                )  # fmt: skip
            ticks = np.unique(of_data["cells"])
            ax.set_xscale("log")
            ax.set_xticks(ticks, [f"{size:,.0f}" for size in ticks])
            ax.minorticks_off()
            if score in COSTS and (of_data[score] > 0).any():
                ax.set_yscale("log")
            ax.set(title=name if not line else "", ylabel="" if column else score)
        axes[-1, column].set_xlabel("cells")
    _legend(figure, axes[0, 0])
    return figure


def mixing(rows: pd.DataFrame) -> Figure:
    """Mixing of batches against conservation of biology, every method."""
    import matplotlib.pyplot as plt

    rows = rows[rows["mixing"].notna()]
    names = _unique(rows["data"])
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(2.6 + 3.3 * columns, max(3.3 * lines, 1.2 + 0.19 * rows["method"].nunique())),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    styles = _styles(_unique(rows["method"]))
    for ax, name in zip(axes.flat, names, strict=False):
        for method, of_method in rows[rows["data"] == name].groupby("method", sort=False):
            x, y = interval(of_method["mixing"]), interval(of_method["conservation"])
            bars = {"xerr": [[_number(x[1])]] * 2, "yerr": [[_number(y[1])]] * 2}
            ax.errorbar(
                [x[0]],
                [y[0]],
                **bars,
                elinewidth=0.8,
                markersize=6,
                label=method,
                **{**styles[method], "linestyle": ""},
            )
        _within_bounds(ax, "mixing")
        ax.set(title=name, xlabel="mixing of batches", ylabel="conservation of biology")
        ax.grid(alpha=0.3)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    handles = {}
    for ax in axes.flat:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize="small")
    return figure


FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "strategies": strategies,
    "sizes": sizes,
    "clcvae": clcvae,
    "kni": kni,
    "unknown": unknown,
    "mixing": mixing,
}


def write_figures(matrix: Matrix, table: Path, out: Path) -> None:
    """Write one PNG per figure that the table has something for."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    rows = succeeded(of_matrix(read_rows(table), matrix))
    for name, draw in FIGURES.items():
        methods = matrix.figures.get(name, list(matrix.methods))
        shown = rows[rows["method"].isin(methods)]
        shown = shown if name == "sizes" else shown[shown["fraction"] == 1]
        needed = {"unknown": "transfer AUROC", "sizes": "EBM"}.get(name, "mixing")
        if shown[needed].isna().all() or (name == "sizes" and (shown["fraction"] == 1).all()):
            print(f"{name}: nothing to draw")
            continue
        figure = draw(shown)
        figure.savefig(out / f"{name}.png", dpi=110)
        plt.close(figure)
        print(f"wrote {out / name}.png")


def _panels(rows: pd.DataFrame, scores: Sequence[str]) -> tuple[Figure, Sequence[Axes]]:
    """Draw a panel per score: methods from top to bottom, a mark per data set, mean and interval over seeds."""
    import matplotlib.pyplot as plt

    rows = rows[rows[list(scores)].notna().any(axis=1)]
    methods, names = _unique(rows["method"]), _unique(rows["data"])
    height = max(1.8, 0.9 + len(methods) * (0.16 + 0.1 * len(names)))
    figure, axes = plt.subplots(
        1,
        len(scores),
        figsize=(2.4 + 2.9 * len(scores), height + 0.5),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    styles = _styles(names)
    for ax, score in zip(axes[0], scores, strict=True):
        for number, name in enumerate(names):
            offset = 0.7 * ((number + 0.5) / len(names) - 0.5)
            for place, method in enumerate(methods):
                values = rows.loc[(rows["data"] == name) & (rows["method"] == method), score].dropna()
                if len(values):
                    mean, half = interval(values)
                    ax.errorbar(
                        [mean], [place + offset], xerr=[_number(half)], markersize=4.5, elinewidth=1, **styles[name]
                    )
            ax.plot([], [], label=name, **{**styles[name], "linestyle": ""})
        _within_bounds(ax, score)
        for place in range(len(methods) - 1):
            ax.axhline(place + 0.5, color="0.9", linewidth=0.8, zorder=0)
        ax.set(xlabel=score, ylim=(len(methods) - 0.5, -0.5))
        ax.grid(axis="x", alpha=0.3)
    axes[0, 0].set_yticks(range(len(methods)), methods)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=min(3, len(names)),
        frameon=False,
        fontsize="small",
    )
    return figure, axes[0]


def _by_data(rows: pd.DataFrame, scores: dict[str, str]) -> Figure:
    """Draw a panel per data set: methods from top to bottom, a mark per score, mean and interval over seeds."""
    import matplotlib.pyplot as plt

    rows = rows[rows[list(scores)].notna().any(axis=1)]
    methods, names = _unique(rows["method"]), _unique(rows["data"])
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(1.8 + 2.5 * columns, lines * (0.8 + 0.2 * len(methods)) + 0.4), sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    styles = _styles(list(scores))
    for ax, name in zip(axes.flat, names, strict=False):
        for number, score in enumerate(scores):
            offset = 0.6 * ((number + 0.5) / len(scores) - 0.5)
            for place, method in enumerate(methods):
                values = rows.loc[(rows["data"] == name) & (rows["method"] == method), score].dropna()
                if len(values):
                    mean, half = interval(values)
                    ax.errorbar(
                        [mean], [place + offset], xerr=[_number(half)], markersize=5, elinewidth=1, **styles[score]
                    )
            ax.plot([], [], label=scores[score], **{**styles[score], "linestyle": ""})
        _within_bounds(ax, next(iter(scores)))
        ax.set_title(name, fontsize="medium")
        ax.set(ylim=(len(methods) - 0.5, -0.5), xlabel="" if len(scores) > 1 else next(iter(scores)))
        ax.grid(alpha=0.3)
    for line in axes:
        line[0].set_yticks(range(len(methods)), methods)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    if len(scores) > 1:
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=len(scores),
            frameon=False,
            fontsize="small",
        )
    return figure


def _within_bounds(ax: Axes, score: str) -> None:
    """Do not let an interval stretch an axis beyond what the score can be."""
    if score in (*SCORES, *EXTRA) and score != "reference drift":
        low, high = ax.get_xlim()
        ax.set_xlim(max(low, -0.03), min(high, 1.03))


def _legend(figure: Figure, ax: Axes) -> None:
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize="small")


def _styles(names: Sequence[str]) -> dict[str, dict[str, str]]:
    return {
        name: {"color": COLORS[number % len(COLORS)], "marker": MARKS[(number + number // len(COLORS)) % len(MARKS)]}
        for number, name in enumerate(names)
    }


def _unique(names: pd.Series) -> list[str]:
    return list(dict.fromkeys(names))


def _number(half: float) -> float:
    return 0.0 if np.isnan(half) else half
