from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _keys

from ._columns import categorical, column

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

NOVEL_COLOR = "#e69f00"
KNOWN_COLOR = "#56b4e9"


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
        Column of ``obs``, such as predicted labels; by default the label that explains each cell best. Cells without one are left out.
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
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    fix = f"run sp.tl.detect_novel(query, reference, labels_key, ..., key_added={key!r})"
    record = adata.uns.get(_keys.UNS, {}).get(_keys.NOVEL, {}).get(key)
    if record is None:
        message = f"no record of novel cells {key!r} in uns: {fix}"
        raise KeyError(message)
    groupby = groupby or _keys.novel_label(key)
    values = column(adata, _keys.novel_score(key), fix)
    novel = column(adata, key, fix)
    groups = column(adata, groupby, "give a column of groups")
    some = groups.notna().to_numpy()
    if not some.any():
        message = f"no cell has a group in obs[{groupby!r}]"
        raise ValueError(message)
    groups = categorical(groups[some])
    scores, is_novel = values[some].to_numpy(dtype=float), novel[some].to_numpy(dtype=bool)
    of_group = {name: (groups == name).to_numpy() for name in groups.cat.categories}
    names = sorted(of_group, key=lambda name: (np.median(scores[of_group[name]]), name))
    if ax is None:
        longest = max(len(name) for name in names)
        _, ax = plt.subplots(figsize=(4.5 + 0.08 * longest, max(0.3 * len(names) + 1.2, 2.5)), layout="constrained")
    boxes = ax.boxplot(
        [scores[of_group[name]] for name in names],
        orientation="horizontal",
        tick_labels=[f"{name} ({of_group[name].sum():,})" for name in names],
        widths=0.65,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for box, name in zip(boxes["boxes"], names, strict=True):
        box.set_facecolor(NOVEL_COLOR if is_novel[of_group[name]].mean() > 0.5 else KNOWN_COLOR)
    ax.axvline(float(record["threshold"]), color="black", linestyle="--", linewidth=1, zorder=0)
    handles = [Patch(facecolor=KNOWN_COLOR, label="mostly known"), Patch(facecolor=NOVEL_COLOR, label="mostly novel")]
    ax.legend(handles=handles, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    ax.set(xlabel="novelty (dashed: threshold)", ylabel=f"{groupby} (cells)")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
