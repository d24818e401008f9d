"""A UMAP of every method's embedding, batches above and types below (scArches, Fig. S4 and S5)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ._config import METHODS
from ._figures import COLORS
from ._plan import runs_of
from ._run import installed, study_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from ._config import Matrix

_K = 15
_PER_LINE = 6


def write_umaps(
    matrix: Matrix, out: Path, *, data_dir: Path | None, cache: Path, threads: int = 1, only: tuple[str, ...] = ()
) -> None:
    """Run each method with the first seed, and write a PNG per data set; methods without an embedding have no panel."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    warnings.simplefilter("ignore")
    tasks = [
        one
        for one in runs_of(matrix, data_dir, cache, threads)
        if one.seed == matrix.seeds[0]
        and one.fraction == 1
        and installed(one.method)
        and (not only or {one.data_name, one.method_name} & set(only))
    ]
    for name in dict.fromkeys(one.data_name for one in tasks):
        panels, cells = {}, None
        for task in (one for one in tasks if one.data_name == name):
            study = study_of(task)
            mapped = METHODS[task.method.run].map(study, **task.method.options)
            if mapped.reference is None:
                continue
            panels[task.method_name] = _umap(np.concatenate([mapped.reference, mapped.query]), task.seed)
            cells = _columns(study.reference.obs, study.query.obs)
            print(f"{name} / {task.method_name}", flush=True)
        if not panels:
            continue
        figure = draw_umaps(panels, cells)
        path = out / f"umap_{''.join(one if one.isalnum() else '_' for one in name)}.png"
        figure.savefig(path, dpi=90, bbox_inches="tight")
        plt.close(figure)
        print(f"wrote {path}")


def draw_umaps(panels: dict[str, np.ndarray], cells: pd.DataFrame) -> Figure:
    """Draw batches of every method, and types below them, so many methods beside each other."""
    import matplotlib.pyplot as plt
    from scanpy.plotting.palettes import default_20

    size, per_line = 2.1, min(_PER_LINE, len(panels))
    n_lines = -(-len(panels) // per_line)
    figure, axes = plt.subplots(
        2 * n_lines,
        per_line,
        figsize=(size * per_line + 2.4, 2 * size * n_lines + 0.4),
        squeeze=False,
        layout="constrained",
    )
    order = np.random.default_rng(0).permutation(len(cells))
    handles = {}
    for below, column in enumerate(("batch", "cell_type")):
        names = sorted(cells[column].unique())
        colors = dict(zip(names, (*COLORS, *default_20), strict=False))
        of_cells = cells[column].map(lambda one, of=colors: of.get(one, "0.5")).to_numpy()
        for number, (method, points) in enumerate(panels.items()):
            ax = axes[2 * (number // per_line) + below, number % per_line]
            ax.scatter(*points[order].T, c=of_cells[order], s=2, linewidths=0, rasterized=True)
            ax.set(xticks=[], yticks=[], title="" if below else method)
            ax.title.set_fontsize("small")
        handles[column] = [ax.scatter([], [], color=colors.get(one, "0.5"), s=18, label=one) for one in names]
    for ax in axes.flat[-2 * per_line :]:
        ax.set_axis_on() if ax.collections else ax.set_axis_off()
    for place, (column, marks) in zip((0.75, 0.25), handles.items(), strict=True):
        title = {"batch": "batches (above)", "cell_type": "types (below)"}[column]
        figure.legend(
            handles=marks, title=title, loc="center left", bbox_to_anchor=(1, place), frameon=False, fontsize="x-small"
        )
    return figure


def _columns(reference: pd.DataFrame, query: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    both = pd.concat([reference, query], keys=["reference", "query"])
    batch = both["batch"].astype(str) + [f" ({role})" for role in both.index.get_level_values(0)]
    return pd.DataFrame({"batch": batch.to_numpy(), "cell_type": both["cell_type"].astype(str).to_numpy()})


def _umap(embedding: np.ndarray, seed: int) -> np.ndarray:
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(obsm={"mapped": np.asarray(embedding, dtype=np.float32)})
    sc.pp.neighbors(cells, n_neighbors=min(_K, cells.n_obs - 1), use_rep="mapped", random_state=seed)
    sc.tl.umap(cells, random_state=seed)
    return cells.obsm["X_umap"]
