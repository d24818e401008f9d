"""Draw the genes that differ between groups of cells or between labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._colors import GREY, NOVEL, QUERY
from scarches_plus._logging import logger
from scarches_plus._text import for_figure, for_message

from ._drawing._axes import axes_or_none, new_axes
from ._drawing._islands import name_islands
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_BAYES_FACTOR = 3
_MADE_BY = "model.differential_expression or model.label_differential_expression"


def differential_expression(
    table: pd.DataFrame, comparison: str | None = None, *, n_genes: int = 10, ax: Axes | None = None
) -> Axes:
    """Draw the genes that differ: a volcano of one comparison, or the number of genes of several.

    The volcano shows the Bayes factor over the log2 fold change; infinite ones lie at the largest finite one. Several
    comparisons, such as of all labels, have a row each, with bars as long as many genes are called higher and lower,
    and the names of the first of them.

    Parameters
    ----------
    table
        Result of :meth:`SCVI.differential_expression <scarches_plus.model.SCVI.differential_expression>` or
        :meth:`SCANVI.label_differential_expression <scarches_plus.model.SCANVI.label_differential_expression>`, in
        either mode. Genes are called as its column ``is_de_...`` says; without one, those of a Bayes factor above 3 or
        below -3.
    comparison
        One of its comparisons, such as ``"B vs Rest"``; ``None`` draws all of them.
    n_genes
        Called genes to name in the volcano, those of the largest product of both axes, and at most three on either side
        of a row. 0 names none.
    ax
        Axes to draw into. Names are placed for their present size.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        If the table is not of these methods, or has no gene or no such comparison.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.texts_or_none(comparison=comparison)
    n_genes = check.whole("n_genes", n_genes, least=0)
    axes_or_none("ax", ax)
    genes = _genes(table)
    comparisons = list(dict.fromkeys(genes["comparison"]))
    if comparison is not None:
        if comparison not in comparisons:
            message = f"comparison {comparison!r} is not in the table, which has {comparisons}"
            raise ValueError(message)
        genes, comparisons = genes[genes["comparison"] == comparison], [comparison]
    if len(comparisons) == 1:
        return _volcano(genes, n_genes, ax)
    return _bars(genes, comparisons, min(n_genes, 3), ax)


def _genes(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each gene and comparison: `gene`, `comparison`, `lfc`, `factor` and whether it is `called`."""
    change = isinstance(table, pd.DataFrame) and "lfc_mean" in table
    numbers = ["bayes_factor", *(["lfc_mean"] if change else ["scale1", "scale2"])]
    check.table("table", table, numbers, numbers=numbers, made_by=_MADE_BY)
    values = {name: table[name].to_numpy(dtype=float) for name in numbers}
    if change:
        lfc = values["lfc_mean"]
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            lfc = np.log2(values["scale1"]) - np.log2(values["scale2"])
    factor = values["bayes_factor"] if change else np.abs(values["bayes_factor"])
    verdicts = [name for name in table if str(name).startswith("is_de_")]
    if (sure := np.isposinf(factor)).any() and np.isfinite(factor).any():
        factor = np.where(sure, factor[np.isfinite(factor)].max(), factor)
    called = _verdicts(table[verdicts[0]]) if verdicts else factor > _BAYES_FACTOR
    genes = pd.DataFrame({"gene": table.index.astype(str), "lfc": lfc, "factor": factor, "called": called})
    genes["comparison"] = table["comparison"].astype(str).to_numpy() if "comparison" in table else "group 1 vs group 2"
    finite = np.isfinite(lfc) & np.isfinite(factor)
    if not finite.any():
        message = "table has no gene with a fold change and a Bayes factor"
        raise ValueError(message)
    if not finite.all():
        logger.info("%d genes without a finite fold change or Bayes factor are left out", (~finite).sum())
    return genes[finite]


def _verdicts(column: pd.Series) -> NDArray[np.bool_]:
    """Return which genes are called; a table that was read from a file may say it in words, and a gene may lack it."""
    words = column.astype(str).str.lower()
    if strange := sorted(set(words) - {"true", "false", "nan", "none", "<na>"}):
        message = f"{column.name} says whether a gene is called, True or False, not {strange[:3]}"
        raise ValueError(message)
    return (words == "true").to_numpy()


def _volcano(genes: pd.DataFrame, n_genes: int, ax: Axes | None) -> Axes:
    ax = new_axes(6, 4.8) if ax is None else ax
    comparison = for_message(genes["comparison"].iloc[0], 60)
    sides = _sides(genes)
    for name, (of_side, color) in sides.items():
        dots = genes[of_side]
        style = {"s": 10 if color == GREY else 16, "linewidths": 0, "alpha": 0.8, "rasterized": len(dots) > 5000}
        ax.scatter(dots["lfc"], dots["factor"], c=color, label=f"{name} ({len(dots):,})", **style)
    ax.axvline(0, color="black", linewidth=0.8, zorder=0)
    limit = 1.15 * max(genes["lfc"].abs().max(), 0.5)
    ax.set(xlim=(-limit, limit), xlabel="log2 fold change", ylabel="Bayes factor (log of odds)", title=comparison)
    ax.margins(y=0.1)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0, handletextpad=0.2)
    ax.spines[["top", "right"]].set_visible(False)
    plain_texts(ax)
    top = _first(genes[genes["called"]], n_genes)
    name_islands(ax, top[["lfc", "factor"]].to_numpy(), list(top["gene"]), beside=True)
    return plain_texts(ax)


def _bars(genes: pd.DataFrame, comparisons: list[str], n_genes: int, ax: Axes | None) -> Axes:
    names = for_figure(comparisons)
    if ax is None:
        ax = new_axes(7.5 + 0.08 * max(map(len, names)), max(0.3 * len(names) + 1.4, 2.5))
    rows = np.arange(len(names))[::-1]
    higher, lower, _ = ((of_side, color) for of_side, color in _sides(genes).values())
    longest = 1
    for (of_side, color), sign, label, align in ((higher, 1, "higher", "left"), (lower, -1, "lower", "right")):
        called = genes[of_side]
        counts = called.groupby("comparison").size().reindex(comparisons, fill_value=0).to_numpy()
        longest = max(longest, counts.max())
        ax.barh(rows, sign * counts, color=color, height=0.7, label=f"{label} in the first group")
        for row, count, name in zip(rows, counts, comparisons, strict=True):
            of_row = _first(called[called["comparison"] == name], n_genes)
            ends = {"xytext": (3 * sign, 0), "textcoords": "offset points", "ha": align, "va": "center", "fontsize": 7}
            ax.annotate(", ".join(for_figure(of_row["gene"])), (sign * count, row), **ends)
    called = set(genes.loc[genes["called"], "comparison"])
    for row, name in zip(rows, comparisons, strict=True):
        if name not in called:
            ax.annotate("none", (0, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(rows, names)
    ax.set(xlim=(-1.9 * longest, 1.9 * longest), ylim=(-0.7, len(names) - 0.3), xlabel="genes called")
    ax.xaxis.set_major_formatter(lambda x, _: f"{abs(x):,.0f}")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    ax.spines[["top", "right"]].set_visible(False)
    return plain_texts(ax)


def _sides(genes: pd.DataFrame) -> dict[str, tuple[Any, str]]:
    """Return which genes are higher, lower and not called, and their colours."""
    called, up = genes["called"], genes["lfc"] > 0
    return {"higher": (called & up, NOVEL), "lower": (called & ~up, QUERY), "not called": (~called, GREY)}


def _first(genes: pd.DataFrame, n_genes: int) -> pd.DataFrame:
    """Return the genes of the largest effect that is sure."""
    order = np.argsort(-(genes["lfc"].abs() * genes["factor"]).to_numpy(), kind="stable")
    return genes.iloc[order[:n_genes]]
