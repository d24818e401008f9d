"""sp.pp.align_genes against scvi-tools' prepare_query_anndata, which pads through a dense matrix.

    python benchmarks/align_genes.py

20,000 cells, 8,000 genes of the reference, of which the query lacks 2,000; alternating runs. Prints seconds, peak
memory above the start, and ratios.
"""

from __future__ import annotations

import tracemalloc
import warnings
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
import scvi
from anndata import AnnData
from scipy import sparse

import scarches_plus as sp

N_CELLS, N_GENES, N_MISSING, RUNS = 20_000, 8_000, 2_000, 3


class Reference:
    """As much of a model as scvi-tools reads here."""

    def __init__(self, names):
        self.names = names
        self.module = type("Module", (), {"state_dict": staticmethod(dict)})

    def _get_user_attributes(self):
        return []

    def get_var_names(self):
        return self.names


def measured(function):
    tracemalloc.start()
    start = perf_counter()
    result = function()
    seconds = perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, seconds, peak / 2**20


def main() -> None:
    warnings.simplefilter("ignore")
    names = np.array([f"gene{i}" for i in range(N_GENES)])
    kept = np.random.default_rng(0).permutation(N_GENES)[N_MISSING:]
    counts = sparse.random(N_CELLS, len(kept), 0.1, format="csr", dtype=np.float32, rng=0)
    rows = {"scarches_plus": [], "scvi-tools": []}
    for _ in range(RUNS):
        query = AnnData(counts.copy(), var=pd.DataFrame(index=names[kept]))
        ours, *figures = measured(lambda query=query: sp.pp.align_genes(query, names))
        rows["scarches_plus"].append(figures)
        theirs, *figures = measured(
            lambda query=query: scvi.model.SCVI.prepare_query_anndata(query, Reference(names), inplace=False)
        )
        rows["scvi-tools"].append(figures)
        assert (ours.X != theirs.X).nnz == 0
    print(f"{N_CELLS:,} cells, {N_GENES:,} genes, {N_MISSING:,} missing; median of {RUNS} runs")
    for name, figures in rows.items():
        seconds, peak = zip(*figures, strict=True)
        print(f"{name:<14} {median(seconds):7.2f} s   {median(peak):8.0f} MiB above the start")
    pairs = list(zip(rows["scvi-tools"], rows["scarches_plus"], strict=True))
    print(
        f"ratio          {median(a[0] / b[0] for a, b in pairs):7.1f}     {median(a[1] / b[1] for a, b in pairs):8.1f}"
    )


if __name__ == "__main__":
    main()
