"""Draw the drift of the reference with each query that was mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check

from ._drawing._axes import axes_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

_LINES = {
    "relative_rmsd": "displacement / spread",
    "neighbor_preservation": "neighbourhoods kept",
    "label_agreement": "neighbours' labels kept",
}


def drift(lineage: Sequence[Mapping[str, Any]], *, ax: Axes | None = None) -> Axes:
    """Draw how far the reference moved with each query that was mapped.

    Solid lines compare with the model before the query; dashed ones with the first reference, where
    :func:`~scarches_plus.tl.map_query` was given ``drift_cells`` with their embedding.

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
    import matplotlib.pyplot as plt

    lineage = [check.mapping("lineage", record) for record in check.names("lineage", lineage, of=object)]
    axes_or_none("ax", ax)
    drifts = [record["drift"] for record in lineage if "drift" in record]  # not where labels were added
    if not any("relative_rmsd" in one for one in drifts):
        message = (
            "there is no drift of cells to draw; pass model.state.lineage of a model that sp.tl.map_query mapped, with "
            "drift_cells=reference if the reference model came without cells"
        )
        raise ValueError(message)
    ax = plt.gca() if ax is None else ax
    steps = range(1, len(drifts) + 1)
    for color, (name, label) in enumerate(_LINES.items()):
        for prefix, style, since in (("", "-", ""), ("total_", "--", ", in all")):
            values = [one.get(f"{prefix}{name}", float("nan")) for one in drifts]
            if any(value == value for value in values):  # noqa: PLR0124 (not all are NaN)
                ax.plot(steps, values, f"o{style}", color=f"C{color}", label=label + since)
    ax.set(xlabel="query", xticks=list(steps), ylim=(-0.05, None), title="Drift of the reference")
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax
