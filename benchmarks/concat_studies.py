"""sp.pp.concat_studies against anndata.concat(join="outer").

    python benchmarks/concat_studies.py

5 studies of 20,000 cells, each of which measured 3,000 of 4,000 genes in an order of its own; alternating runs, first
pair not counted. Prints seconds, peak memory above the start, and ratios. concat_studies also checks the counts and
makes the record.
"""

from __future__ import annotations

import tracemalloc
from statistics import median
from time import perf_counter

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

import scarches_plus as sp

N_STUDIES, N_CELLS, N_GENES, N_MEASURED, DENSITY, RUNS = 5, 20_000, 4_000, 3_000, 0.1, 5


def study(i):
    rng = np.random.default_rng(i)
    counts = sparse.random(N_CELLS, N_MEASURED, DENSITY, format="csr", dtype=np.float32, rng=rng)
    counts.data = np.ceil(counts.data * 5)
    genes = rng.permutation(N_GENES)[:N_MEASURED]
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(["a", "b"] * (N_CELLS // 2))}, index=[f"{i}-{j}" for j in range(N_CELLS)]
    )
    return AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"gene{gene}" for gene in genes]))


def seconds(function):
    start = perf_counter()
    result = function()
    return result, perf_counter() - start


def peak(function):
    tracemalloc.start()
    function()
    mib = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return mib


def main() -> None:
    studies = {f"study{i}": study(i) for i in range(N_STUDIES)}
    functions = {
        "concat_studies": lambda: sp.pp.concat_studies(studies),
        "anndata.concat": lambda: anndata.concat(studies, join="outer", label="study"),
    }
    rows = {name: [] for name in functions}
    results = {}
    for _ in range(RUNS + 1):
        for name, function in functions.items():
            results[name], taken = seconds(function)
            rows[name].append(taken)
    ours, theirs = results.values()
    assert abs(ours.X - theirs[:, ours.var_names].X).nnz == 0
    peaks = {name: peak(function) for name, function in functions.items()}
    print(f"{N_STUDIES} studies x {N_CELLS:,} cells x {N_MEASURED:,} genes of {N_GENES:,}; median of {RUNS} runs")
    for name, taken in rows.items():
        print(f"{name:<15} {median(taken[1:]):7.2f} s   {peaks[name]:8.0f} MiB above the start")
    ratio = median(b / a for a, b in zip(*(taken[1:] for taken in rows.values()), strict=True))
    print(f"ratio           {ratio:7.2f}     {peaks['anndata.concat'] / peaks['concat_studies']:8.2f}")


if __name__ == "__main__":
    main()
