"""Label propagation beside igraph's, and marker genes beside scanpy's t-test.

    python benchmarks/cluster.py            10,000 cells
    python benchmarks/cluster.py --large    100,000 cells
    python benchmarks/cluster.py --million  1,000,000 cells (or --cells), beside igraph's Leiden, and what follows

20 dimensions, 12 types, k = 50. The search for neighbours is timed apart, since both need it. igraph is timed with
building its graph from the same sparse matrix, and without. Marker genes: 2,000 genes, 12 groups, all cells; scanpy's
time is of normalisation and test.

``--million``: 70 types of very unequal size, two species, 20 tissues, single precision. ``--apart`` is the spread of
the types' centres in each dimension, that of a type being 1. Leiden is the function that
``sc.tl.leiden(flavor="igraph", n_iterations=2)`` calls, on the same graph, which is handed over as arrays: scanpy makes
a Python object of every edge. Each line has CPU seconds, seconds, and the peak of the process until then.
"""

from __future__ import annotations

import argparse
import random
import resource
from statistics import median
from time import perf_counter, process_time

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


def atlas(n, apart, rng):
    """Return simulated latent cells of many types, of which a tenth is in one species only."""
    n_types = 70
    types = rng.choice(n_types, n, p=rng.dirichlet(np.full(n_types, 1.0)))
    centers = apart * rng.normal(size=(n_types, DIMENSIONS))
    z = rng.normal(size=(n, DIMENSIONS)).astype(np.float32)
    z += centers[types]
    species = np.where(types % 10, rng.integers(0, 2, n), 0)
    columns = {"type": types, "species": species, "tissue": rng.integers(0, 20, n), "study": rng.integers(0, 40, n)}
    obs = pd.DataFrame(
        {
            name: pd.Categorical.from_codes(codes, [f"{name}{i}" for i in range(codes.max() + 1)])
            for name, codes in columns.items()
        },
        index=pd.RangeIndex(n).astype(str),
    )
    return AnnData(obs=obs, obsm={"X_scarches": z})


def measured(what, function, *args, **kwargs):
    start, cpu = perf_counter(), process_time()
    result = function(*args, **kwargs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{what:38} {process_time() - cpu:8.1f} CPU s {perf_counter() - start:8.1f} s, {peak:5.2f} GiB at the peak",
        flush=True,
    )
    return result


def million(n, apart):
    adata = measured("simulated cells, imports", atlas, n, apart, np.random.default_rng(0))
    truth = adata.obs["type"].cat.codes.to_numpy()
    neighbors = measured("nearest neighbours", nearest_within, adata.obsm["X_scarches"], K)
    graph = measured("symmetric graph", symmetric_graph, neighbors.indices)
    del neighbors
    print(f"    {graph.nnz // 2:,} edges")
    for seed in range(2):
        found = measured(f"label propagation, seed {seed}", propagate, graph, max_sweeps=150, rng=seed)
        print(f"    {agreement(truth, found.labels)}; {found.sweeps} sweeps, converged: {found.converged}")
        adata.obs[f"seed {seed}"] = pd.Categorical(found.labels)
    adata.obs["cluster"] = adata.obs["seed 0"]
    n_types = adata.obs["type"].nunique()
    measured("sp.tl.cluster, k-means", sp.tl.cluster, adata, method="kmeans", n_clusters=n_types, key_added="kmeans")
    print(f"    {agreement(truth, adata.obs['kmeans'])}")
    measured("cluster_table of three columns", sp.tl.cluster_table, adata, "cluster", ["type", "tissue", "study"])
    table = measured("conserved_clusters", sp.tl.conserved_clusters, adata, min_values=10, min_cells=20)
    print(f"    {int(table['kept'].sum())} of {len(table)} clusters span ten tissues in both species")
    found = measured("cluster_agreement", sp.tl.cluster_agreement, adata, ["cluster", "seed 1", "kmeans"], "type")
    print(found.round(3).to_string())
    if igraph is None:
        return
    net = measured("igraph's graph of it", build, graph)
    del graph
    random.seed(0)
    options = {"objective_function": "modularity", "n_iterations": 2}
    found = measured("igraph's Leiden, two iterations", net.community_leiden, **options)
    print(f"    {agreement(truth, found.membership)}")


def agreement(truth, labels):
    codes = pd.factorize(np.asarray(labels))[0]
    return f"{codes.max() + 1} clusters, ARI {adjusted_rand_score(truth, codes):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--cells", type=float, default=1e6)
    parser.add_argument("--apart", type=float, default=1.2)
    options = parser.parse_args()
    if options.million:
        million(int(options.cells), options.apart)
        return
    n = 100_000 if options.large else 10_000
    print(f"{n:,} cells, {DIMENSIONS} dimensions, {TYPES} types, k = {K}; {RUNS} runs, alternating")
    clusters(n, np.random.default_rng(0))
    genes(n, np.random.default_rng(1))


if __name__ == "__main__":
    main()
