"""A UMAP of every method's embedding, batches above and types below (scArches, Fig. S4 and S5)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ._config import METHODS
from ._plan import runs_of
from ._run import installed, study_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from ._config import Matrix

_K = 15


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
        figure.savefig(path, dpi=90)
        plt.close(figure)
        print(f"wrote {path}")


def draw_umaps(panels: dict[str, np.ndarray], cells: pd.DataFrame) -> Figure:
    """Draw a column per method: batches, the query's in strong colours, and types."""
    import matplotlib.pyplot as plt
    from scanpy.plotting.palettes import default_20

    size = 2.1
    figure, axes = plt.subplots(
        2, len(panels), figsize=(size * len(panels) + 2.2, 2 * size + 0.4), squeeze=False, layout="constrained"
    )
    order = np.random.default_rng(0).permutation(len(cells))
    for line, column in enumerate(("batch", "cell_type")):
        names = sorted(cells[column].unique())
        colors = dict(zip(names, default_20, strict=False))
        of_cells = cells[column].map(lambda one, of=colors: of.get(one, "0.5")).to_numpy()
        for ax, (method, points) in zip(axes[line], panels.items(), strict=True):
            ax.scatter(*points[order].T, c=of_cells[order], s=2, linewidths=0, rasterized=True)
            ax.set(xticks=[], yticks=[], title="" if line else method)
            ax.title.set_fontsize("small")
        for one in names:
            axes[line, -1].scatter([], [], color=colors.get(one, "0.5"), s=18, label=one)
        axes[line, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="x-small")
        axes[line, 0].set_ylabel({"batch": "batches", "cell_type": "types"}[column])
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
