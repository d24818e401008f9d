"""sp.metrics.evaluate on one embedding: seconds of each score, in all, and the memory at the peak.

    python benchmarks/evaluate.py
    python benchmarks/evaluate.py --cells 100000

The embedding has 20 dimensions, 12 types and 6 batches. The first run of a process compiles (numba, jax), which is part
of what a user waits for and is printed as part of the total; --twice shows what is left of it.
"""

from __future__ import annotations

import argparse
import resource
from time import perf_counter

import numpy as np
import pandas as pd
from anndata import AnnData

import scarches_plus as sp


def cells(n_cells: int) -> AnnData:
    rng = np.random.default_rng(0)
    types, batches = rng.integers(0, 12, n_cells), rng.integers(0, 6, n_cells)
    z = rng.normal(size=(12, 20))[types] * 3 + 0.5 * rng.normal(size=(6, 20))[batches] + rng.normal(size=(n_cells, 20))
    obs = pd.DataFrame(
        {"batch": batches.astype(str), "cell_type": types.astype(str)}, index=np.arange(n_cells).astype(str)
    )
    return AnnData(np.zeros((n_cells, 1), dtype=np.float32), obs, obsm={"z": z.astype(np.float32)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000])
    parser.add_argument("--scores", choices=["cheap", "full"], default="cheap")
    parser.add_argument("--twice", action="store_true")
    options = parser.parse_args()
    for n_cells in options.cells:
        adata = cells(n_cells)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(1 + options.twice):
            start = perf_counter()
            report = sp.metrics.evaluate(
                adata, "z", "batch", labels_key="cell_type", scores=options.scores, progress=False
            )
            whole = perf_counter() - start
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"{n_cells} cells: {whole:.1f} s in all, peak {peak:.0f} MiB above the start")
            print(report.scores[["score", "value", "seconds"]].to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
