"""Speed and peak memory of ``sp.datasets.simulate``, and its speed against a loop over cells.

Usage: python benchmarks/datasets_simulate.py
"""

import resource
import sys
import time

import numpy as np
from scipy import sparse

from scarches_plus.datasets import simulate

N_CELLS, N_GENES = 100_000, 2_000
N_CELLS_OF_LOOP, REPEATS = 5_000, 5
MEBI = 2**20


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEBI


def loop(truth) -> sparse.csr_matrix:
    """The obvious way: each cell's counts from its type, batch and depth."""
    rng = np.random.default_rng(0)
    theta = truth.uns["simulate"]["parameters"]["inverse_dispersion"]
    programs = {name: values.to_numpy() for name, values in truth.varm["log_programs"].items()}
    effects = {name: values.to_numpy() for name, values in truth.varm["log_batch_effects"].items()}
    rows = []
    for cell in truth.obs.itertuples():
        rate = np.exp(programs[cell.cell_type] + effects[cell.batch])
        mu = cell.depth * rate / rate.sum()
        rows.append(sparse.csr_matrix(rng.negative_binomial(theta, theta / (theta + mu)).astype(np.float32)))
    return sparse.vstack(rows, format="csr")


def seconds(run, *args) -> float:
    start = time.perf_counter()
    run(*args)
    return time.perf_counter() - start


def main() -> None:
    truth = simulate(N_CELLS_OF_LOOP, N_GENES)
    before = peak_memory()
    start = time.perf_counter()
    adata = simulate(N_CELLS, N_GENES)
    taken = time.perf_counter() - start
    stored = sum(part.nbytes for part in (adata.X.data, adata.X.indices, adata.X.indptr)) / MEBI
    print(f"{N_CELLS:,} x {N_GENES:,}: {taken:.1f} s, {N_CELLS / taken:,.0f} cells/s")
    print(f"peak memory {peak_memory() - before:,.0f} MiB above the start; the counts alone take {stored:,.0f} MiB")
    print(f"(a dense float64 matrix would take {N_CELLS * N_GENES * 8 / MEBI:,.0f} MiB)")
    del adata

    pairs = [(seconds(loop, truth), seconds(simulate, N_CELLS_OF_LOOP, N_GENES)) for _ in range(REPEATS)]
    ratios = [slow / fast for slow, fast in pairs]
    print(
        f"against a loop over {N_CELLS_OF_LOOP:,} cells: {np.median(ratios):.2f} times as fast "
        f"(median of {REPEATS} alternating pairs; {min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
