"""Scores of ten million cells from drawn ones: seconds, memory, values and their intervals.

    python benchmarks/metrics_ten_million.py [--cells 10000000] [--scores full] [--all]

Cells in 20 dimensions, single precision: 80 types, 40 batches moved against each other. ``evaluate`` takes its default
of three draws of 100,000 cells, with a table by batch. Memory is the peak of the process until then, cells included;
what is compiled on first use counts. ``--all`` also scores drawn cells by their neighbours among all.
"""

import argparse
import os
import resource
import time

import numpy as np
import pandas as pd
from anndata import AnnData

import scarches_plus as sp

_BLOCK = 200_000


def world(n_cells, rng):
    """Return an embedding, and codes of batches and of types."""
    batches, types = rng.integers(0, 40, n_cells), rng.integers(0, 80, n_cells)
    centers, shifts = 2 * rng.normal(size=(80, 20)), 0.4 * rng.normal(size=(40, 20))
    z = np.empty((n_cells, 20), dtype=np.float32)
    for start in range(0, n_cells, _BLOCK):
        some = slice(start, start + _BLOCK)
        z[some] = centers[types[some]] + shifts[batches[some]]
        z[some] += rng.normal(size=z[some].shape).astype(np.float32)
    return z, batches, types


def timed(what, compute):
    start, cpu = time.perf_counter(), time.process_time()
    result = compute()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{what}: {seconds:.0f} s, {cpu:.0f} CPU s; {peak:.1f} GiB at the peak; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10**7)
    parser.add_argument("--scores", choices=["cheap", "full"], default="cheap")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    z, batches, types = timed("cells", lambda: world(options.cells, np.random.default_rng(0)))
    obs = pd.DataFrame(
        {
            name: pd.Categorical.from_codes(codes, [f"{name}{i}" for i in range(codes.max() + 1)])
            for name, codes in (("batch", batches), ("type", types))
        },
        index=pd.RangeIndex(options.cells).astype(str),
    )
    adata = AnnData(obs=obs, obsm={"z": z})
    report = timed(
        f"evaluate, {options.scores}",
        lambda: sp.metrics.evaluate(
            adata, "z", "batch", labels_key="type", sample_key="batch", scores=options.scores, progress=False
        ),
    )
    print(report.scores[["score", "value", "low", "high", "n_cells", "seconds"]].round(4).to_string(index=False))
    print(report.by_sample().describe().round(4).to_string())
    if not options.all:
        return
    for n_cells in (2_000, 10_000):
        result = timed(f"KNI, {n_cells}", lambda n=n_cells: sp.metrics.kni(z, batches, types, n_scored=n, rng=0))
        print(f"  {result.score:.4f}, {result.interval[0]:.4f} to {result.interval[1]:.4f}")
    result = timed("RbNI, 2000", lambda: sp.metrics.rbni(z, batches, types, n_scored=2_000, rng=0))
    print(f"  {result.score:.4f}, {result.interval[0]:.4f} to {result.interval[1]:.4f}")


if __name__ == "__main__":
    main()
