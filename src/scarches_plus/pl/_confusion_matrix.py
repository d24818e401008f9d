"""Draw the confusion matrix of two columns of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import names_of, without_label
from scarches_plus._logging import logger
from scarches_plus._text import for_figure

from ._drawing._axes import axes_or_none, new_axes
from ._drawing._columns import categorical, column
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData
    from matplotlib.axes import Axes


def confusion_matrix(
    adata: AnnData,
    labels_key: str,
    predicted_key: str | None = None,
    *,
    normalize: bool = True,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    cmap: str = "Blues",
    ax: Axes | None = None,
) -> Axes:
    """Draw which labels the cells of every true type were given; the axes are called as the columns are.

    Parameters
    ----------
    adata
        Query cells with true and transferred labels.
    labels_key
        Column of ``obs`` with the true labels, which make the rows. Cells without one, or with `unknown_category`, are
        left out.
    predicted_key
        Column of ``obs`` with the transferred labels, which make the columns; by default ``"{labels_key}_pred"``.
        Types that occur as both come first and in the same order; `unknown_category` is the last column.
    normalize
        Colour and annotate by the share of the row rather than by the number of cells.
    unknown_category
        Prediction of rejected cells.
    unlabelled
        Words that are no true label, beside `unknown_category`, as they are spelt; ``()`` lets all count. ``None``:
        "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that occur.
    cmap
        Colour map; the default varies in lightness, which colour-blind readers see.
    ax
        Axes to draw into.

    Returns
    -------
    The Axes.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If no cell has both labels.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.cells("adata", adata, mudata=True)
    check.texts(labels_key=labels_key, unknown_category=unknown_category)
    check.texts_or_none(predicted_key=predicted_key)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.flags(normalize=normalize)
    axes_or_none("ax", ax)
    predicted_key = predicted_key or _keys.predicted(labels_key)
    truth = column(adata, labels_key, "give the column of the true labels")
    predicted = column(adata, predicted_key, f"run sp.tl.transfer_labels(query, reference, {labels_key!r})")
    nothing = without_label(names_of(truth), unlabelled, always=[unknown_category], where=f"obs[{labels_key!r}]")
    both = ~nothing & predicted.notna().to_numpy()
    if not both.any():
        message = f"no cell has a label in both obs[{labels_key!r}] and obs[{predicted_key!r}]"
        raise ValueError(message)
    truth, predicted = categorical(truth[both]), categorical(predicted[both])

    logger.info("true labels: obs[%r] of %d cells; transferred: obs[%r]", labels_key, both.sum(), predicted_key)
    types, given = list(truth.cat.categories), [c for c in predicted.cat.categories if c != unknown_category]
    rows = sorted(types, key=lambda name: name not in given)
    columns = [name for name in types if name in given] + [name for name in given if name not in types]
    if (predicted == unknown_category).any():
        columns.append(unknown_category)
    counts = pd.crosstab(truth, predicted).reindex(index=rows, columns=columns, fill_value=0)
    shown = counts.div(counts.sum(axis=1), axis=0) if normalize else counts

    if ax is None:
        below, beside = (0.06 * max(map(len, for_figure(names))) for names in (columns, rows))  # names at 45 degrees
        ax = new_axes(max(0.42 * len(columns) + 2 + beside, 4.5), max(0.36 * len(rows) + 1.2, 2.2) + below)
    image = ax.imshow(shown, cmap=cmap, vmin=0, vmax=1 if normalize else None, aspect="auto")
    for (row, col), value in np.ndenumerate(shown.to_numpy()):
        text = f"{value:.2f}" if normalize else f"{value:d}"
        if value and text != "0.00":
            ax.text(col, row, text, ha="center", va="center", fontsize=7, color=_readable(image.to_rgba(value)))
    n_cells = counts.sum(axis=1)
    ax.set_yticks(range(len(rows)), [f"{name} ({n:,})" for name, n in zip(for_figure(rows), n_cells, strict=True)])
    ax.set_xticks(range(len(columns)), for_figure(columns), rotation=45, ha="right", rotation_mode="anchor")
    ax.set_xlabel(for_figure([predicted_key])[0])
    ax.set_ylabel(f"{for_figure([labels_key])[0]} (cells)")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    bar = ax.get_figure().colorbar(
        image, ax=ax, label="share of the row" if normalize else "cells", fraction=0.05, pad=0.02, aspect=30
    )
    plain_texts(bar.ax)
    return plain_texts(ax)


def _readable(background: tuple[float, float, float, float]) -> str:
    red, green, blue, _ = background
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
