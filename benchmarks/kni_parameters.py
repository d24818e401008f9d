"""What KNI and RbNI depend on: neighbours, threshold, noise and number of cells (BA-scVI's supplement), as figures.

    python benchmarks/kni_parameters.py                       simulated cells, and pbmc68k by principal components
    python benchmarks/kni_parameters.py --data mapped.h5ad --use-rep X_scarches --batch batch --labels cell_type

Writes ``kni_parameters_NAME.png`` and ``.csv`` into ``--out``. One parameter moves at a time, the others stay as in the
paper (k = 50, released code's threshold) but for the radius of RbNI, which is the median distance to the 50th
neighbour: the paper's 1.0 leaves nearly every cell of a space of 20 dimensions isolated. Noise is normal, in units of
the embedding's spread; cells are drawn from every batch in proportion.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata
import matplotlib as mpl
import numpy as np
import pandas as pd
import scanpy as sc
from kni import make

import scarches_plus as sp
from scarches_plus._cells import names_of, without_label
from scarches_plus._neighbors import nearest_within
from scarches_plus.metrics._shared._neighbor_vote import scaled

K = 50
#: Share of neighbours from other batches that make a cell diverse.
CODE, TEXT = 0.2, 0.8
SHARES = np.linspace(0.05, 1.0, 20)
NOISE = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
#: Colours that people with any colour vision tell apart (Okabe and Ito).
LINES = {
    "score": ("#0072B2", "o", "score"),
    "accuracy": ("#D55E00", "s", "accuracy by all neighbours"),
    "diverse": ("#009E73", "^", "diverse cells"),
}


def curves(embedding, batches, labels, rng=0):
    """Return one row per measure, parameter and value: score, accuracy by all neighbours and share of diverse cells."""
    points = np.asarray(embedding, dtype=np.float64)
    n = len(points)
    neighbors = nearest_within(scaled(points), min(500, n - 1))
    radius = float(np.median(neighbors.distances[:, min(K, n - 1) - 1]))
    spread = np.sqrt(points.var(axis=0).sum() / points.shape[1])
    draw = np.random.default_rng(rng).normal(size=points.shape)
    sizes = np.unique(np.geomspace(max(2 * K, n / 20), n, 8).astype(int))
    given = {"neighbors": neighbors.indices}
    rows = []

    def add(measure, parameter, value, result):
        accuracy = result.accuracy_knn if measure == "KNI" else result.accuracy_radius
        rows.append((measure, parameter, value, result.score, accuracy, result.diverse))

    for k in sorted({k for k in (5, 10, 15, 25, 50, 100, 150, 200, 300, 500) if k < n}):
        add("KNI", "neighbours", k, sp.metrics.kni(points, batches, labels, k=k, **given))
    for factor in np.geomspace(0.25, 2.5, 10):
        add("RbNI", "neighbours", factor * radius, sp.metrics.rbni(points, batches, labels, radius=factor * radius))
    for share in SHARES:
        needed = max(1, round(share * K))
        add("KNI", "threshold", share, sp.metrics.kni(points, batches, labels, k=K, min_other=needed, **given))
        result = sp.metrics.rbni(points, batches, labels, radius=radius, min_other_share=float(share))
        add("RbNI", "threshold", share, result)
    for noise in NOISE:
        noisy = points + noise * spread * draw
        add("KNI", "noise", noise, sp.metrics.kni(noisy, batches, labels, k=K))
        add("RbNI", "noise", noise, sp.metrics.rbni(noisy, batches, labels, radius=radius))
    for size in sizes:
        some = {"subsample": None if size == n else int(size), "rng": rng}
        add("KNI", "cells", size, sp.metrics.kni(points, batches, labels, k=min(K, size - 1), **some))
        add("RbNI", "cells", size, sp.metrics.rbni(points, batches, labels, radius=radius, **some))
    return pd.DataFrame(rows, columns=["measure", "parameter", "value", *LINES])


def draw(table, title):
    import matplotlib.pyplot as plt

    names = {
        ("KNI", "neighbours"): "neighbours k",
        ("RbNI", "neighbours"): "radius, inter-quartile ranges",
        "threshold": "share of other batches needed",
        "noise": "noise / spread of the embedding",
        "cells": "cells",
    }
    parameters = list(dict.fromkeys(table["parameter"]))
    figure, axes = plt.subplots(2, len(parameters), figsize=(13.5, 6.2), sharey=True, layout="constrained")
    for row, measure in enumerate(("KNI", "RbNI")):
        for ax, parameter in zip(axes[row], parameters, strict=True):
            one = table[(table["measure"] == measure) & (table["parameter"] == parameter)]
            for column, (color, mark, label) in LINES.items():
                ax.plot(one["value"], one[column], color=color, marker=mark, markersize=4, label=label)
            if parameter in {"neighbours", "cells"}:
                values = one["value"].to_numpy()[::-2][::-1]
                ax.set_xscale("log")
                ax.set_xticks(
                    values, [f"{value:,.0f}" if value >= 10 else f"{value:.2g}" for value in values], fontsize=8
                )
                ax.minorticks_off()
            if parameter == "threshold":
                for place, text in ((CODE, "code"), (TEXT, "text")):
                    ax.axvline(place, color="0.5", linewidth=1, linestyle=":")
                    ax.text(place, 1.04, text, ha="center", va="bottom", fontsize=8, color="0.3")
            ax.set(xlabel=names.get((measure, parameter), names.get(parameter)), ylim=(-0.03, 1.03))
            ax.grid(alpha=0.3)
        axes[row, 0].set_ylabel(measure)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(LINES), frameon=False, title=title)
    return figure


def data_sets(given):
    if given.data:
        cells = anndata.read_h5ad(given.data)
        cells = cells[~without_label(names_of(cells.obs[given.labels]))]
        if cells.n_obs > given.cells:
            cells = cells[np.sort(np.random.default_rng(0).choice(cells.n_obs, given.cells, replace=False))]
        yield given.data.stem, cells.obsm[given.use_rep], cells.obs[given.batch], cells.obs[given.labels]
        return
    yield "simulated", *make(5_000)
    cells = sp.datasets.pbmc68k()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    sc.pp.pca(cells, n_comps=20)
    yield "pbmc68k", cells.obsm["X_pca"], cells.obs["batch"], cells.obs["cell_type"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="An .h5ad file with an embedding.")
    parser.add_argument("--use-rep", default="X_scarches")
    parser.add_argument("--batch", default="batch")
    parser.add_argument("--labels", default="cell_type")
    parser.add_argument("--cells", type=int, default=10_000, help="Draw so many cells of a larger file.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    mpl.use("agg")
    given.out.mkdir(parents=True, exist_ok=True)
    for name, embedding, batches, labels in data_sets(given):
        table = curves(embedding, np.asarray(batches, dtype=object), np.asarray(labels, dtype=object))
        table.to_csv(given.out / f"kni_parameters_{name}.csv", index=False, float_format="%.5g")
        draw(table, f"{name}, {len(batches):,} cells").savefig(given.out / f"kni_parameters_{name}.png", dpi=100)
        wide = table.pivot_table(index=["parameter", "value"], columns="measure", values="score")
        print(f"{name}, {len(batches):,} cells: scores\n{wide.to_string(float_format='{:.3f}'.format)}\n", flush=True)


if __name__ == "__main__":
    main()
