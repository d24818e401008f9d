from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _keys

from ._columns import categorical, column

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData
    from matplotlib.axes import Axes

KNOWN_COLOR = "#56b4e9"
UNSEEN_COLOR = "#e69f00"


def uncertainty_by_type(
    adata: AnnData,
    labels_key: str,
    uncertainty_key: str | None = None,
    *,
    known_labels: Iterable[str] | None = None,
    threshold: float | None = 0.5,
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
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    uncertainty_key = uncertainty_key or _keys.uncertainty(labels_key)
    labels = column(adata, labels_key, "give the column of the true labels")
    uncertainty = column(adata, uncertainty_key, f"run sp.tl.transfer_labels(query, reference, {labels_key!r})")
    both = (labels.notna() & uncertainty.notna()).to_numpy()
    if not both.any():
        message = f"no cell has both obs[{labels_key!r}] and obs[{uncertainty_key!r}]"
        raise ValueError(message)
    labels = categorical(labels[both])
    values = uncertainty[both].to_numpy(dtype=float)
    groups = {name: values[(labels == name).to_numpy()] for name in labels.cat.categories}
    names = sorted(groups, key=lambda name: (np.median(groups[name]), name))

    if ax is None:
        longest = max(len(name) for name in names)
        size = (4.5 + 0.08 * longest, max(0.3 * len(names) + 1.2, 2.5))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    known = set(names) if known_labels is None else {str(name) for name in known_labels}
    boxes = ax.boxplot(
        [groups[name] for name in names],
        orientation="horizontal",
        tick_labels=[f"{name} ({len(groups[name]):,})" for name in names],
        widths=0.65,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for box, name in zip(boxes["boxes"], names, strict=True):
        box.set_facecolor(KNOWN_COLOR if name in known else UNSEEN_COLOR)
    if threshold is not None:
        ax.axvline(threshold, color="black", linestyle="--", linewidth=1, zorder=0)
    if known_labels is not None:
        handles = [Patch(facecolor=KNOWN_COLOR, label="in the reference")]
        handles.append(Patch(facecolor=UNSEEN_COLOR, label="not in the reference"))
        ax.legend(handles=handles, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("uncertainty of the transferred label")
    ax.set_ylabel("true label (cells)")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
