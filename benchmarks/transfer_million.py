"""Transfer labels of a large query on a larger reference, and compare a sample with brute force.

    python benchmarks/transfer_million.py [--reference 10000000] [--query 1000000] [--method auto]

Cells are those of neighbors.py, in 20 dimensions and single precision; the 80 types are the labels. Of 2,000 query
cells the labels are found again from neighbours by brute force in double precision, block by block of the reference.
Memory is the peak of the process until then, cells included.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from neighbors import THREADS, World

import scarches_plus as sp

SAMPLE, K, _BLOCK = 2_000, 50, 200_000


def cells(coordinates, **columns):
    obs = pd.DataFrame(columns, index=pd.RangeIndex(len(coordinates)).astype(str))
    return AnnData(obs=obs, obsm={"X_scarches": coordinates})


def timed(what, function, *args, **kwargs):
    start, cpu = time.perf_counter(), time.process_time()
    function(*args, **kwargs)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{what}: {seconds:.0f} s, {cpu:.0f} CPU s; {peak:.1f} GiB at the peak; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def brute_force(query, reference):
    """Rows of the nearest reference cells, shape ``(n_query, K)``."""
    query, squares = query.astype(float), (query.astype(float) ** 2).sum(axis=1)[:, None]
    best, found = np.full((len(query), K), np.inf), np.zeros((len(query), K), dtype=int)
    for start in range(0, len(reference), _BLOCK):
        block = reference[start : start + _BLOCK].astype(float)
        for rows in np.array_split(np.arange(len(query)), 10):
            apart = squares[rows] + (block**2).sum(axis=1) - 2 * query[rows] @ block.T
            near = np.flatnonzero((apart < best[rows].max(axis=1)[:, None]).any(axis=0))
            values = np.column_stack([best[rows], apart[:, near]])
            order = np.argpartition(values, K - 1, axis=1)[:, :K]
            best[rows] = np.take_along_axis(values, order, axis=1)
            names = np.column_stack([found[rows], np.tile(near + start, (len(rows), 1))])
            found[rows] = np.take_along_axis(names, order, axis=1)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=int, default=10_000_000)
    parser.add_argument("--query", type=int, default=1_000_000)
    parser.add_argument("--method", default="auto")
    options = parser.parse_args()
    world = World()
    with tempfile.TemporaryDirectory() as folder:
        types = world.reference(options.reference, False, Path(folder) / "reference.npy")
        world.query(options.query, False, Path(folder) / "query.npy")
        latent, query_latent = np.load(Path(folder) / "reference.npy"), np.load(Path(folder) / "query.npy")
    labels = pd.Categorical.from_codes(types, [f"type {i}" for i in range(len(world.share))])
    reference, query = cells(latent, cell_type=labels), cells(query_latent)
    print(f"{options.query:,} cells on {options.reference:,}, {THREADS} threads", flush=True)
    timed("index", sp.tl.index_neighbors, reference, method=options.method)
    timed("transfer", sp.tl.transfer_labels, query, reference, "cell_type", k=K)

    some = np.random.default_rng(4).choice(query.n_obs, min(SAMPLE, query.n_obs), replace=False)
    found = brute_force(query_latent[some], latent)
    few = np.unique(found)
    exact = cells(query_latent[some])
    sp.tl.transfer_labels(exact, cells(latent[few], cell_type=labels[few]), "cell_type", k=K)
    same = (
        exact.obs["cell_type_pred"].astype(str).to_numpy() == query.obs["cell_type_pred"].astype(str).to_numpy()[some]
    )
    apart = abs(exact.obs["cell_type_uncertainty"].to_numpy() - query.obs["cell_type_uncertainty"].to_numpy()[some])
    print(
        f"of {len(some):,} cells, {same.mean():.4f} have the label of brute force; uncertainty differs by {apart.mean():.2g}"
    )


if __name__ == "__main__":
    main()
