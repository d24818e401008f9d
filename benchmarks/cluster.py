"""Label propagation beside igraph's, and marker genes beside scanpy's t-test.

    python benchmarks/cluster.py            10,000 cells
    python benchmarks/cluster.py --large    100,000 cells

20 dimensions, 12 types, k = 50. The search for neighbours is timed apart, since both need it. igraph is timed with
building its graph from the same sparse matrix, and without. Marker genes: 2,000 genes, 12 groups, all cells; scanpy's
time is of normalisation and test.
"""

from __future__ import annotations

import random
import sys
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import scarches_plus as sp
from scarches_plus._neighbors import nearest_within
from scarches_plus.tl._groups._propagate import propagate, symmetric_graph

try:
    import igraph
except ImportError:
    igraph = None

TYPES, DIMENSIONS, K, GENES, RUNS = 12, 20, 50, 2000, 3


def timed(function, *args, **kwargs):
    start = perf_counter()
    result = function(*args, **kwargs)
    return perf_counter() - start, result


def build(graph):
    upper = sparse.triu(graph).tocoo()
    return igraph.Graph(graph.shape[0], np.stack([upper.row, upper.col], axis=1))


def clusters(n, rng):
    truth = rng.integers(0, TYPES, n)
    z = 0.8 * rng.normal(size=(TYPES, DIMENSIONS))[truth] + rng.normal(size=(n, DIMENSIONS))
    seconds, neighbors = timed(nearest_within, z, K)
    print(f"neighbours                          {seconds:8.2f} s")
    seconds, graph = timed(symmetric_graph, neighbors.indices)
    print(f"symmetric graph                     {seconds:8.2f} s   {graph.nnz // 2:,} edges")
    ours, theirs, built = [], [], []
    for seed in range(RUNS):
        seconds, found = timed(propagate, graph, max_sweeps=150, rng=seed)
        ours.append(seconds)
        score = adjusted_rand_score(truth, found.labels)
        done = f"{found.sweeps} sweeps, {'a fixed point' if found.converged else 'NOT CONVERGED'}"
        print(
            f"label propagation                   {seconds:8.2f} s   {found.labels.max() + 1} clusters, ARI {score:.3f}, {done}"
        )
        if igraph is not None:
            random.seed(seed)
            seconds, net = timed(build, graph)
            built.append(seconds)
            seconds, found = timed(net.community_label_propagation)
            theirs.append(seconds)
            score = adjusted_rand_score(truth, found.membership)
            print(
                f"igraph, without and with building   {seconds:8.2f} s {seconds + built[-1]:8.2f} s   {len(found)} clusters, ARI {score:.3f}"
            )
    if theirs:
        whole = [a / (b + c) for a, b, c in zip(ours, theirs, built, strict=True)]
        bare = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(f"ours / igraph                       {median(bare):8.2f} without building, {median(whole):.2f} with")


def genes(n, rng):
    group = rng.integers(0, TYPES, n)
    density = 0.08
    counts = sparse.random(n, GENES, density, format="csr", random_state=0, dtype=np.float32)
    counts.data = np.ceil(counts.data * 5)
    obs = pd.DataFrame({"group": pd.Categorical([f"type{i}" for i in group])}, index=[f"c{i}" for i in range(n)])
    adata = AnnData(counts, obs=obs)

    def scanpys():
        normalized = adata.copy()
        sc.pp.normalize_total(normalized, target_sum=1e4)
        sc.pp.log1p(normalized)
        sc.tl.rank_genes_groups(normalized, "group", method="t-test")

    ours, theirs, sampled = [], [], []
    for _ in range(RUNS):
        ours.append(timed(sp.tl.rank_genes, adata, "group", max_cells=None)[0])
        sampled.append(timed(sp.tl.rank_genes, adata, "group")[0])
        theirs.append(timed(scanpys)[0])
    print(f"rank_genes, all cells               {median(ours):8.2f} s")
    print(f"rank_genes, 2,000 cells of each     {median(sampled):8.2f} s")
    print(f"scanpy, t-test                      {median(theirs):8.2f} s")
    print(f"ours / scanpy, all cells            {median(a / b for a, b in zip(ours, theirs, strict=True)):8.2f}")


def main() -> None:
    n = 100_000 if "--large" in sys.argv[1:] else 10_000
    print(f"{n:,} cells, {DIMENSIONS} dimensions, {TYPES} types, k = {K}; {RUNS} runs, alternating")
    clusters(n, np.random.default_rng(0))
    genes(n, np.random.default_rng(1))


if __name__ == "__main__":
    main()
