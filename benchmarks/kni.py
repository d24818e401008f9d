"""CPU seconds of KNI and RbNI, against loops over cells; kni_parameters.py shows what the scores depend on.

    python benchmarks/kni.py [cells ...]        by default 10000 100000

Cells are Gaussian clusters, one per type, in batches moved against each other by less than a cluster is wide. "given"
is KNI with neighbours known already. RbNI is timed up to 30,000 cells, its time growing with their square. The loops
over cells run on 2,000. Figures are medians over three rounds up to 10,000 cells, beyond they are of one run.
"""

import os
import sys
from collections import Counter
from statistics import median
from time import process_time

import numpy as np

from scarches_plus import metrics
from scarches_plus._neighbors import nearest_within
from scarches_plus.metrics._shared._neighbor_vote import scaled

DIMENSIONS, TYPES, BATCHES, K = 20, 12, 6, 50
LOOP_CELLS, RBNI_CELLS = 2_000, 30_000
RADIUS = 3.0  # in 20 dimensions; at 1.0 nearly every cell is isolated


def make(n, seed=1, noise=0.0):
    world, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centers, shifts = 0.8 * world.normal(size=(TYPES, DIMENSIONS)), 0.7 * world.normal(size=(BATCHES, DIMENSIONS))
    types, batches = rng.integers(TYPES, size=n), rng.integers(BATCHES, size=n)
    embedding = centers[types] + shifts[batches] + rng.normal(size=(n, DIMENSIONS))
    return embedding + noise * rng.normal(size=(n, DIMENSIONS)), batches, np.char.add("type", types.astype(str))


def mode(labels):
    counts = Counter(labels)
    return min(counts, key=lambda name: (-counts[name], name))


def hit(near, cell, batches, labels):
    others = [labels[j] for j in near if batches[j] != batches[cell]]
    return len(near) > 0 and len(near) - len(others) < 0.8 * len(near) and mode(others) == labels[cell]


def loop_given(embedding, batches, labels, neighbors):
    return sum(hit(near, cell, batches, labels) for cell, near in enumerate(neighbors)) / len(labels)


def loop(embedding, batches, labels, chosen):
    """KNI or RbNI, cell by cell; ``chosen`` gives the neighbours of a cell from its distances to all."""
    points, hits = scaled(embedding), 0
    for cell in range(len(points)):
        distances = np.sqrt(((points - points[cell]) ** 2).sum(axis=1))
        distances[cell] = np.inf
        hits += hit(chosen(distances), cell, batches, labels)
    return hits / len(labels)


def timed(function, *args, **kwargs):
    start = process_time()
    result = function(*args, **kwargs)
    return process_time() - start, result


def rounds(n, function, *args, **kwargs):
    runs = [timed(function, *args, **kwargs) for _ in range(3 if n <= 10_000 else 1)]
    return median(seconds for seconds, _ in runs), runs[0][1]


def speed(sizes):
    print(f"{'cells':>8} {'measure':12} {'CPU s':>9} {'score':>7}")
    for n in sizes:
        data = make(n)
        searching, neighbors = rounds(n, lambda points: nearest_within(scaled(points), K).indices, data[0])
        given, result = rounds(n, metrics.kni, *data, neighbors=neighbors)
        print(f"{n:>8,} {'KNI, given':12} {given:>9.3f} {result.score:>7.3f}", flush=True)
        print(f"{n:>8,} {'KNI':12} {searching + given:>9.3f} {result.score:>7.3f}", flush=True)
        if n <= RBNI_CELLS:
            seconds, result = rounds(n, metrics.rbni, *data, radius=RADIUS)
            print(f"{n:>8,} {'RbNI':12} {seconds:>9.3f} {result.score:>7.3f}", flush=True)


def against_loops():
    data = make(LOOP_CELLS)
    neighbors = nearest_within(scaled(data[0]), K).indices
    pairs = {
        "KNI, given": (metrics.kni, {"neighbors": neighbors}, loop_given, neighbors),
        "KNI": (metrics.kni, {}, loop, lambda distances: np.argsort(distances)[:K]),
        "RbNI": (metrics.rbni, {"radius": RADIUS}, loop, lambda distances: np.flatnonzero(distances <= RADIUS)),
    }
    print(f"\n{'measure':12} {'loop, s':>9} {'here, s':>9} {'ratio':>7} {'difference of scores':>21}")
    for name, (metric, options, naive, argument) in pairs.items():
        mine, result = rounds(LOOP_CELLS, metric, *data, **options)
        theirs, score = rounds(LOOP_CELLS, naive, *data, argument)
        print(f"{name:12} {theirs:>9.3f} {mine:>9.4f} {theirs / mine:>7.1f} {result.score - score:>21.1e}")


def main(sizes):
    print(
        f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, {DIMENSIONS} dimensions, k={K}"
    )
    metrics.kni(*make(1_000))  # imports
    speed(sizes)
    against_loops()


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [10_000, 100_000])
