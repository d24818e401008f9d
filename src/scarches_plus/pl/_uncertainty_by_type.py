"""Draw the uncertainty of transferred labels for every true type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import names_of, without_label
from scarches_plus._colors import KNOWN, NOVEL
from scarches_plus._logging import logger
from scarches_plus._text import for_figure

from ._drawing._axes import axes_or_none
from ._drawing._boxes import by_median, draw_boxes, name_colors
from ._drawing._columns import categorical, column
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from anndata import AnnData
    from matplotlib.axes import Axes


def uncertainty_by_type(
    adata: AnnData,
    labels_key: str,
    uncertainty_key: str | None = None,
    *,
    known_labels: Iterable[str] | None = None,
    threshold: float | None = 0.5,
    unlabelled: Collection[Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the uncertainty of transferred labels for every true type, the most uncertain on top.

    A box spans the quartiles, its line is the median and the whiskers reach from the 5th to the 95th percentile.

    Parameters
    ----------
    adata
        Query cells with true labels and the uncertainty of the transferred ones.
    labels_key
        Column of ``obs`` with the true labels. Cells without one are left out.
    uncertainty_key
        Column of ``obs`` with the uncertainty; by default ``"{labels_key}_uncertainty"``.
    known_labels
        Labels that the reference has, repeats allowed; types it lacks are highlighted.
    threshold
        Uncertainty above which labels are rejected, drawn as a line; ``None`` draws none.
    unlabelled
        Words that are no true label, as they are spelt; ``()`` lets all count. ``None``: "Unknown", "Mixed" and the
        other words in :doc:`/guide/labels`, in any case; the log names those that occur.
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
        If no cell has both a label and an uncertainty.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.cells("adata", adata, mudata=True)
    check.texts(labels_key=labels_key)
    check.texts_or_none(uncertainty_key=uncertainty_key)
    check.distinct(labels_key=labels_key, uncertainty_key=uncertainty_key)
    known_labels = None if known_labels is None else check.names("known_labels", known_labels, of=object)
    if threshold is not None:
        check.number("threshold", threshold, least=0, most=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    axes_or_none("ax", ax)
    uncertainty_key = uncertainty_key or _keys.uncertainty(labels_key)
    labels = column(adata, labels_key, "give the column of the true labels")
    uncertainty = column(adata, uncertainty_key, f"run sp.tl.transfer_labels(query, reference, {labels_key!r})")
    nothing = without_label(names_of(labels), unlabelled, where=f"obs[{labels_key!r}]")
    both = ~nothing & uncertainty.notna().to_numpy()
    if not both.any():
        message = f"no cell has both obs[{labels_key!r}] and obs[{uncertainty_key!r}]"
        raise ValueError(message)
    logger.info("true labels: obs[%r] of %d cells; uncertainty: obs[%r]", labels_key, both.sum(), uncertainty_key)
    groups = by_median(uncertainty[both].to_numpy(dtype=float), categorical(labels[both]))
    known = set(groups) if known_labels is None else {name for name in names_of(known_labels) if name is not None}
    ax = draw_boxes(groups, {name: KNOWN if name in known else NOVEL for name in groups}, ax)
    if threshold is not None:
        ax.axvline(threshold, color="black", linestyle="--", linewidth=1, zorder=0)
    if known_labels is not None:
        name_colors(ax, {"in the reference": KNOWN, "not in the reference": NOVEL})
    ax.set(xlim=(-0.02, 1.02), xlabel="uncertainty of the transferred label")
    ax.set_ylabel(f"{for_figure([labels_key])[0]} (cells)")
    return plain_texts(ax)
