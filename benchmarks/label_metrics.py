"""Seconds of each metric on labels, orderings and proteins, given the neighbours that all of them share.

    python benchmarks/label_metrics.py [cells ...]        by default 10000 100000

The neighbours are made up, mostly of the same label: `metrics.py` times the search. Medians over the rounds; what is
imported on first use is paid before the clock starts.
"""

import os
import sys
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np

from scarches_plus import metrics

DIMENSIONS, TYPES, BATCHES, PROTEINS, K = 20, 12, 6, 10, 50
ROUNDS = 3


def make(n, seed=0):
    rng = np.random.default_rng(seed)
    types = rng.integers(TYPES, size=n)
    batches = np.where(types < 2, types, rng.integers(BATCHES, size=n))
    embedding = 2 * rng.normal(size=(TYPES, DIMENSIONS))[types] + rng.normal(size=(n, DIMENSIONS))
    positive = rng.random((TYPES, PROTEINS))[types] < 0.4
    counts = rng.poisson(np.where(positive, 60, 6))
    return embedding, batches, types.astype(str), counts, rng.random(n)


def made_up_neighbors(labels, seed=0):
    """The cells before and after each in a random order sorted by label; distinct and without the cell itself."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    steps = np.concatenate([np.arange(1, K // 2 + 1), -np.arange(1, K // 2 + 1)])
    neighbors = np.empty((len(labels), K), dtype=np.int64)
    neighbors[order] = order[(np.arange(len(labels))[:, None] + steps) % len(labels)]
    return neighbors


def timed(function):
    start = perf_counter()
    function()
    return perf_counter() - start


def cases(embedding, batches, labels, counts, ordering):
    neighbors = made_up_neighbors(labels)
    proteins = metrics.scale_proteins(counts)
    near = {"neighbors": neighbors}
    return {
        "label_purity": partial(metrics.label_purity, embedding, labels, **near),
        "graph_connectivity": partial(metrics.graph_connectivity, embedding, labels, **near),
        "label_mixing": partial(metrics.label_mixing, embedding, batches, labels, **near),
        "over_mixing": partial(metrics.over_mixing, embedding, batches, labels, **near),
        "isolated_label_score": partial(metrics.isolated_label_score, embedding, batches, labels, **near),
        "mixing_along": partial(metrics.mixing_along, embedding, batches, ordering, **near),
        "protein_discrepancy": partial(metrics.protein_discrepancy, embedding, proteins, **near),
        "protein_neighbor_overlap": partial(
            metrics.protein_neighbor_overlap, embedding, proteins, protein_neighbors=neighbors, **near
        ),
        "over_k, label_purity, 5 values": partial(
            metrics.over_k, metrics.label_purity, embedding, [labels], ks=(10, 20, 30, 40, 50), **near
        ),
        "scale_proteins": partial(metrics.scale_proteins, counts),
    }


def main(sizes):
    for warm_up in cases(*make(500)).values():
        warm_up()
    print(
        f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, {DIMENSIONS} dimensions,"
        f" {TYPES} labels, {BATCHES} batches, {PROTEINS} proteins, {K} neighbours, each metric at its own default"
    )
    for n in sizes:
        for name, metric in cases(*make(n)).items():
            print(f"{n:>8,} {name:32} {median(timed(metric) for _ in range(ROUNDS)):>9.3f}", flush=True)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [10_000, 100_000])
