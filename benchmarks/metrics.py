"""Seconds of each metric, search included, and its ratio to the obvious loop over cells.

    python benchmarks/metrics.py [cells ...]        by default 10000 100000

A loop that searches runs on a sample of 200 cells, each searched among all cells of its batch or data set, and is
extrapolated to all cells; the loop of the label report runs on all.
Metric and loop alternate within one run; medians over the rounds are printed. What is compiled or imported on first use
is paid before the clock starts and printed separately.
"""

import os
import sys
from collections import Counter
from statistics import median
from time import perf_counter

import numpy as np

from scarches_plus import _neighbors, metrics
from scarches_plus._neighbors import _index

DIMENSIONS, TYPES, BATCHES, K = 20, 12, 6, 15
SAMPLE, ROUNDS = 200, 3


def make(n, seed=0):
    rng = np.random.default_rng(seed)
    types = rng.integers(TYPES, size=n)
    batches = rng.integers(BATCHES, size=n)
    separate = 2 * rng.normal(size=(TYPES, DIMENSIONS))[types] + rng.normal(size=(n, DIMENSIONS))
    joint = separate + 0.3 * rng.normal(size=(n, DIMENSIONS))
    labels = types.astype(str)
    uncertainty = rng.beta(1, 4, size=n)
    predictions = np.where(rng.random(n) < 0.1, rng.permutation(labels), labels)
    predictions = np.where(uncertainty > 0.5, "Unknown", predictions)
    return separate, joint, batches, labels, predictions, uncertainty


def neighbors_of(cell, embedding):
    distances = np.sqrt(((embedding - embedding[cell]) ** 2).sum(axis=1))
    distances[cell] = np.inf
    return np.argsort(distances)[:K]


def loop_entropy(cells, embedding, batches):
    for cell in cells:
        counts = Counter(batches[neighbors_of(cell, embedding)].tolist())
        -sum(c / K * np.log(c / K) for c in counts.values())


def loop_preservation(cells, joint, separate, batches):
    members = {batch: np.flatnonzero(batches == batch) for batch in np.unique(batches)}
    parts = {batch: (joint[rows], separate[rows]) for batch, rows in members.items()}
    position = np.empty(len(batches), dtype=int)
    for rows in members.values():
        position[rows] = np.arange(len(rows))
    for cell in cells:
        left, right = (set(neighbors_of(position[cell], part).tolist()) for part in parts[batches[cell]])
        len(left & right) / len(left | right)


def loop_drift(cells, before, after):
    for cell in cells:
        np.linalg.norm(after[cell] - before[cell])
    loop_preservation(cells, after, before, np.zeros(len(before), dtype=int))


def loop_report(cells, labels, predictions, uncertainty):
    confusion, bins = Counter(), Counter()
    for cell in cells:
        confusion[labels[cell], predictions[cell]] += 1
        right = labels[cell] == predictions[cell]
        bins[int((1 - uncertainty[cell]) * 15)] += right - (1 - uncertainty[cell])


def timed(function, *args, **kwargs):
    start = perf_counter()
    function(*args, **kwargs)
    return perf_counter() - start


def main(sizes):
    rng = np.random.default_rng(1)
    small = make(2000)[1]
    exact_pairs = _index.EXACT_PAIRS
    print(
        f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, {DIMENSIONS} dimensions"
    )
    print(f"first exact search {timed(_neighbors.nearest_within, small, K):.1f} s", end="; ")
    if max(sizes) ** 2 > exact_pairs:
        _index.EXACT_PAIRS = 0
        print(f"first approximate search (compiles) {timed(_neighbors.nearest_within, small, K):.1f} s", end="")
        _index.EXACT_PAIRS = exact_pairs
    print(f"\n{'cells':>8} {'metric':32} {'seconds':>9} {'loop, extrapolated':>20} {'ratio':>8}")

    for n in sizes:
        separate, joint, batches, labels, predictions, uncertainty = make(n)
        cells = rng.choice(n, SAMPLE, replace=False)
        known = np.unique(labels)
        ebm, ebm_loop = metrics.entropy_batch_mixing, loop_entropy
        pairs = {
            "entropy_batch_mixing": (ebm, (joint, batches), {}, ebm_loop, (joint, batches)),
            "entropy_batch_mixing, 100 cells": (ebm, (joint, batches), {"n_cells": 100, "rng": 0}, ebm_loop, (joint, batches)),
            "neighbor_preservation, 6 batches": (
                metrics.neighbor_preservation, (joint, separate, batches), {}, loop_preservation, (joint, separate, batches)
            ),
            "reference_drift": (metrics.reference_drift, (separate, joint), {}, loop_drift, (separate, joint)),
            "label_transfer_report": (
                metrics.label_transfer_report, (labels, predictions, uncertainty), {"known_labels": known},
                loop_report, (labels, predictions, uncertainty),
            ),
        }  # fmt: skip
        for name, (metric, args, kwargs, loop, loop_args) in pairs.items():
            sample = np.arange(n) if loop is loop_report else cells
            wanted = kwargs.get("n_cells", n)
            mine, theirs = [], []
            for _ in range(ROUNDS):
                mine.append(timed(metric, *args, **kwargs))
                theirs.append(timed(loop, sample, *loop_args) * wanted / len(sample))
            seconds, looped = median(mine), median(theirs)
            print(f"{n:>8,} {name:32} {seconds:>9.3f} {looped:>20.1f} {looped / seconds:>8.1f}", flush=True)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [10_000, 100_000])
