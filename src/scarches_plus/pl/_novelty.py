"""Draw the novelty of the cells of each group, and the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._colors import KNOWN, NOVEL
from scarches_plus._text import for_message

from ._drawing._axes import axes_or_none
from ._drawing._boxes import by_median, draw_boxes, name_colors
from ._drawing._columns import categorical, column
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


def novelty(adata: AnnData, key: str = _keys.NOVEL, *, groupby: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the novelty of the cells of each group, the most novel on top, and the threshold.

    A box spans the quartiles, its line is the median and the whiskers reach from the 5th to the 95th percentile; it is
    coloured where most cells of the group are novel.

    Parameters
    ----------
    adata
        Query that :func:`scarches_plus.tl.detect_novel` looked at.
    key
        Its ``key_added``.
    groupby
        Column of ``obs``, such as predicted labels; by default the label that explains each cell best. Cells without
        one are left out.
    ax
        Axes to draw into.

    Returns
    -------
    The Axes.

    Raises
    ------
    KeyError
        If a column or the record is missing.
    ValueError
        If no cell has a group.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.cells("adata", adata)
    check.texts(key=key)
    check.texts_or_none(groupby=groupby)
    axes_or_none("ax", ax)
    fix = f"run sp.tl.detect_novel(query, reference, labels_key, ..., key_added={key!r})"
    record = adata.uns.get(_keys.UNS, {}).get(_keys.NOVEL, {}).get(key, {})
    if "threshold" not in record:
        message = f"no record of novel cells {key!r} in uns: {fix}"
        raise KeyError(message)
    if not record.get("judged", True):
        message = f"nothing was judged, so there is no novelty to draw: obs[{_keys.novel_state(key)!r}] is 'not judged'"
        raise ValueError(message)
    groupby = groupby or _keys.novel_label(key)
    scores = column(adata, _keys.novel_score(key), fix)
    novel = column(adata, key, fix)
    labels = column(adata, groupby, "give a column of groups")
    some = (labels.notna() & scores.notna()).to_numpy()  # cells without counts have no score
    if not some.any():
        message = f"no cell has a group in obs[{groupby!r}]"
        raise ValueError(message)
    labels = categorical(labels[some])
    groups = by_median(scores[some].to_numpy(dtype=float), labels)
    shares = novel[some].astype(float).groupby(labels, observed=True).mean()
    ax = draw_boxes(groups, {name: NOVEL if shares[name] > 0.5 else KNOWN for name in groups}, ax)
    ax.axvline(float(record["threshold"]), color="black", linestyle="--", linewidth=1, zorder=0)
    name_colors(ax, {"mostly known": KNOWN, "mostly novel": NOVEL})
    ax.set(xlabel="novelty (dashed: threshold)", ylabel=f"{for_message(groupby, 60)} (cells)")
    return plain_texts(ax)
