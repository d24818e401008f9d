"""Write the report of a job: one HTML page that needs no other file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pandas as pd

from scarches_plus import _keys
from scarches_plus._colors import BEHIND, colors_of
from scarches_plus._files import write_file
from scarches_plus._html import heading, image, listing, page, table_of, verdict
from scarches_plus._text import for_figure, for_html, for_line
from scarches_plus._visit import verdict_of
from scarches_plus.app._worker._map import POSITIONS

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.figure import Figure

#: Labels that a figure names; more cannot be told apart.
_MOST_LABELS = 20


def write_report(adata: AnnData, file: Path, summary: dict[str, Any]) -> None:
    """Write how well the cells mapped, what they are made of, what is novel, and how sure that is."""
    novel = summary["novel"]
    scores: dict[str, object] = {
        "cells": adata.n_obs,
        "called unknown": float((adata.obs[summary["predicted"]].astype(str) == "Unknown").mean()),
        "median probability of the label": float(1 - adata.obs[summary["uncertainty"]].median()),
    }
    if novel is not None:
        scores["called novel"] = novel["cells"]
        scores["known cells that may be among them"] = f"{novel['false_low']:.1%} to {novel['false_high']:.1%}"
    whose = (
        "the reference's map" if summary["map"] == "reference" else "a map of the query alone: the reference has none"
    )
    figure = _figure(adata, summary)
    parts = [
        _verdict(adata, summary),
        *[f"<p>{for_html(note)}</p>" for note in summary["notes"]],
        listing(scores),
        image("Map of the cells by label", _png(figure)),
        f"<p>{for_html(whose)}</p>",
        heading("Composition"),
        table_of(_composition(summary)),
    ]
    if novel is not None and novel["clusters"]:
        names = novel["names"]
        clusters = pd.DataFrame(
            {"cells": novel["clusters"], "name": {one: names.get(one, "") for one in novel["clusters"]}}
        )
        parts += [heading("Clusters of novel cells"), table_of(clusters)]
    settings = {name: summary[name] for name in ("reference", "labels_key", "batch_key", "kind")}
    write_file(
        file,
        page(f"Cells mapped onto {for_line(summary['reference'])}", [*parts, heading("Settings"), listing(settings)]),
    )


def _verdict(adata: AnnData, summary: dict[str, Any]) -> str:
    """Return how well the cells mapped, and what to look at."""
    scores = {"called unknown": float((adata.obs[summary["predicted"]] == _keys.UNKNOWN).mean())}
    if summary["looked_for_novel"]:
        scores["called novel"] = float(adata.obs[_keys.NOVEL].mean())
        scores["not judged novel or known"] = float((adata.obs[_keys.novel_state(_keys.NOVEL)] == "not judged").mean())
    why_not = "" if summary["looked_for_novel"] else summary["novelty"].partition(": ")[2]
    judged = verdict_of(adata, summary["labels_key"], scores, mixing=None, per_type=None, why_not=why_not)
    return verdict(judged.sentence, judged.points)


def _composition(summary: dict[str, Any]) -> pd.DataFrame:
    """Return the share of each label in query and reference."""
    own, known = summary["composition"], summary["reference_composition"]
    table = pd.DataFrame({"cells": pd.Series(own, dtype=float), "in the reference": pd.Series(known, dtype=float)})
    table = table.fillna(0).sort_values("cells", ascending=False)
    shares = table / table.sum().where(table.sum() > 0, 1)
    return pd.DataFrame(
        {
            "cells": table["cells"].astype(int),
            "share": shares["cells"],
            "share in the reference": shares["in the reference"],
        }
    )


def _figure(adata: AnnData, summary: dict[str, Any]) -> Figure:
    x, y = adata.obsm[POSITIONS].T
    labels = adata.obs[summary["predicted"]].astype(str)
    most = list(labels.value_counts().index[:_MOST_LABELS])
    figure, axes = plt.subplots(figsize=(9, 6.5), layout="constrained")
    size = max(1.0, min(20.0, 20_000 / max(1, adata.n_obs)))
    colors = colors_of(map(str, adata.obs[summary["predicted"]].cat.categories), grey=(_keys.UNKNOWN,))
    for label, shown in zip(most, for_figure(most, in_legend=True), strict=True):
        here = (labels == label).to_numpy()
        axes.scatter(x[here], y[here], s=size, color=colors[label], label=shown, linewidths=0)
    rest = (~labels.isin(most)).to_numpy()
    axes.scatter(x[rest], y[rest], s=size, color=BEHIND, linewidths=0)
    if summary["novel"] is not None:
        novel = adata.obs["novel"].to_numpy(dtype=bool)
        axes.scatter(
            x[novel], y[novel], s=3 * size + 12, facecolors="none", edgecolors="black", linewidths=0.6, label="novel"
        )
    axes.set(xticks=[], yticks=[])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()
