"""Compare votes among prototypes with votes among the cells that they stand for, and among as many cells drawn of them.

    python benchmarks/prototypes.py --data-dir data           # real sets, by a model of 60 epochs
    python benchmarks/prototypes.py --cells 1e5 1e6 1e7       # simulated latent means, 20 dimensions, 60 types
    python benchmarks/prototypes.py --cells 1e5 --scores      # what sp.metrics.evaluate would say of prototypes

Accuracy and expected calibration error of the labels of cells of known types; CPU seconds to make prototypes and to
vote, the search for neighbours included.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import process_time

import anndata
import numpy as np
import pandas as pd
import scvi

import scarches_plus as sp

sys.path.append(str(Path(__file__).parent / "annotation"))
sys.path.append(str(Path(__file__).parent / "surgery"))
from _common import QUIET, quiet
from label_table import REAL

LATENT = "X_scarches"
#: More cells are searched by faiss' lists, which miss few neighbours (docs/guide/neighbors.md).
LARGE = 2_000_000
N_TYPES, N_DIMENSIONS, N_BATCHES = 60, 20, 3


def simulated(n_cells: int, rng: np.random.Generator) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Types of different size and spread, three states each, batches that differ; the query is one of its own."""
    sizes = rng.dirichlet(np.full(N_TYPES, 0.4))
    centers = 0.6 * rng.normal(size=(N_TYPES, N_DIMENSIONS))
    spread = np.exp(0.5 * rng.normal(size=N_TYPES))
    states = 0.7 * rng.normal(size=(N_TYPES, 3, N_DIMENSIONS))
    shifts = 0.25 * rng.normal(size=(N_BATCHES + 1, N_TYPES, N_DIMENSIONS))

    def draw(n: int, batches: np.ndarray) -> anndata.AnnData:
        kind, state = rng.choice(N_TYPES, n, p=sizes), rng.integers(3, size=n)
        latent = rng.normal(size=(n, N_DIMENSIONS), scale=1).astype(np.float32)
        latent *= spread[kind, None]
        latent += centers[kind] + states[kind, state] + shifts[batches, kind]
        obs = pd.DataFrame({"type": pd.Categorical.from_codes(kind, [f"type{one}" for one in range(N_TYPES)]),
                            "batch": pd.Categorical.from_codes(batches, [f"batch{one}" for one in range(N_BATCHES + 1)])})  # fmt: skip
        obs.index = obs.index.astype(str)
        return anndata.AnnData(obs=obs, obsm={LATENT: latent})

    return draw(n_cells, rng.integers(N_BATCHES, size=n_cells)), draw(3000, np.full(3000, N_BATCHES))


def real(file: str, batches: list[str], folder: Path, seed: int) -> tuple[anndata.AnnData, anndata.AnnData]:
    """A reference and a query that was mapped onto it."""
    adata = anndata.read_h5ad(folder / file)
    adata.obs["type"] = adata.obs["cell_type"]
    of_query = adata.obs["batch"].isin(batches).to_numpy()
    cells, query = adata[~of_query].copy(), adata[of_query].copy()
    scvi.settings.seed = seed
    model = sp.tl.build_reference(cells, "batch", max_epochs=60, train_kwargs=QUIET)
    sp.tl.embed(cells, model)
    sp.tl.map_query(query, model, max_epochs=60, train_kwargs=QUIET)
    known = query.obs["type"].isin(cells.obs["type"].unique()) & (query.obs["type"] != "Unknown")
    return cells, query[known.to_numpy()].copy()


def compare(name: str, cells: anndata.AnnData, query: anndata.AnnData, most: int) -> None:
    start = process_time()
    small = sp.tl.reference_prototypes(cells, "type", "batch", n_prototypes=most)
    made = process_time() - start
    some = cells[np.sort(np.random.default_rng(0).choice(cells.n_obs, small.n_obs, replace=False))].copy()
    print(f"{name}: {small.n_obs} prototypes of {cells.n_obs} cells in {made:.1f} CPU s")
    if cells.n_obs > LARGE:
        sp.tl.index_neighbors(cells, method="faiss")
    for kind, reference in {"cells": cells, "prototypes": small, "drawn": some}.items():
        start = process_time()
        sp.tl.transfer_labels(query, reference, "type", unknown_above=None)
        took = process_time() - start
        right = (query.obs["type_pred"].astype(str) == query.obs["type"].astype(str)).to_numpy()
        error = sp.metrics.reliability_curve(1 - query.obs["type_uncertainty"], right).attrs["calibration_error"]
        print(f"    {kind:10} accuracy {right.mean():.4f}, calibration error {error:.3f}, {took:.1f} CPU s", flush=True)


def as_if_cells(name: str, cells: anndata.AnnData, most: int) -> None:
    """Compare scores of prototypes, taken for cells, with those of the cells and of as many of them."""
    small = sp.tl.reference_prototypes(cells, "type", "batch", n_prototypes=most)
    small = small[small.obs["batch"].notna()].copy()
    small.uns.clear()  # evaluate refuses what says that it is prototypes
    some = cells[np.sort(np.random.default_rng(0).choice(cells.n_obs, small.n_obs, replace=False))].copy()
    scores = {
        kind: sp.metrics.evaluate(one, LATENT, "batch", labels_key="type", progress=False).scores.set_index("score")
        for kind, one in {"cells": cells, "prototypes": small, "drawn": some}.items()
    }
    print(f"{name}: {small.n_obs} prototypes, and as many drawn cells, of {cells.n_obs}")
    print(pd.DataFrame({kind: one["value"] for kind, one in scores.items()}).round(3).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--only", nargs="+", default=["donors to 101", "PBMC to Kang", "PBMC to stimulated"])
    parser.add_argument("--cells", nargs="+", type=float, default=[])
    parser.add_argument("--prototypes", type=int, default=50_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--scores", action="store_true")
    options = parser.parse_args()
    quiet()
    for seed in options.seeds:
        for n_cells in options.cells:
            cells, query = simulated(int(n_cells), np.random.default_rng(seed))
            if options.scores:
                as_if_cells(f"simulated, seed {seed}", cells, options.prototypes)
            else:
                compare(f"simulated, seed {seed}", cells, query, options.prototypes)
        for name in options.only if options.data_dir else []:
            compare(f"{name}, seed {seed}", *real(*REAL[name], options.data_dir, seed), options.prototypes)


if __name__ == "__main__":
    main()
