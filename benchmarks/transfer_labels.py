"""sp.tl.transfer_labels against the vote of scarches 0.6: seconds, memory and labels.

    python benchmarks/transfer_labels.py
    python benchmarks/transfer_labels.py --query 1000000 --reference 200000 --dimensions 10 --runs 1 --no-scarches

Prints wall and CPU seconds of the search and of the vote, with one label column and with five, and the peak memory
above what the cells take. scarches' side is its published code, restated: the search of scikit-learn (brute force, all
threads) and a loop over cells and labels, which runs on the first 1,000 cells and is extrapolated. Both sides vote on
the same neighbours as well.
"""

from __future__ import annotations

import argparse
import resource
import warnings
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from threadpoolctl import threadpool_limits

import scarches_plus as sp
from scarches_plus._neighbors import nearest
from scarches_plus.tl._votes._neighbor_votes import best_labels, kernel_weights, vote

N_LABELS, K, LOOP_CELLS = 30, 50, 1000
COLUMNS = [f"label{i}" for i in range(5)]


def cells(n: int, n_dimensions: int, seed: int) -> AnnData:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(scale=2.0, size=(N_LABELS, n_dimensions))
    labels = rng.integers(0, N_LABELS, n)
    z = centres[labels] + rng.normal(size=(n, n_dimensions))
    column = pd.Categorical.from_codes(labels, [f"type{i}" for i in range(N_LABELS)])
    obs = pd.DataFrame(dict.fromkeys(COLUMNS, column), index=np.arange(n).astype(str))
    return AnnData(obs=obs, obsm={"X_scarches": z.astype(np.float32)})


def scarches_search(query: AnnData, reference: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """``weighted_knn_trainer`` and the first lines of ``weighted_knn_transfer``."""
    from sklearn.neighbors import KNeighborsTransformer

    knn = KNeighborsTransformer(n_neighbors=K, mode="distance", algorithm="brute", metric="euclidean", n_jobs=-1)
    knn.fit(reference.obsm["X_scarches"])
    return knn.kneighbors(X=query.obsm["X_scarches"])


def scarches_vote(distances: np.ndarray, indices: np.ndarray, labels: pd.Categorical, names: pd.Index) -> Any:
    """The rest of ``weighted_knn_transfer``, statement by statement, with one label column; returns labels and
    uncertainties.
    """
    spread = ((2.0 / np.std(distances, axis=1)) ** 2).reshape(-1, 1)
    weights = np.exp(-np.true_divide(distances, spread))
    weights = weights / np.sum(weights, axis=1, keepdims=True)
    uncertainties = pd.DataFrame(columns=["label"], index=names)
    predicted = pd.DataFrame(columns=["label"], index=names)
    result = []
    for i in range(len(weights)):
        best_label, best_probability = None, 0.0
        for candidate in np.unique(labels[indices[i]]):
            probability = weights[i, labels[indices[i]] == candidate].sum()
            if best_probability < probability:
                best_probability, best_label = probability, candidate
        uncertainties.iloc[i]["label"] = max(1 - best_probability, 0)  # without effect under pandas 3
        predicted.iloc[i]["label"] = best_label
        result.append((best_label, max(1 - best_probability, 0)))
    return tuple(map(np.array, zip(*result, strict=True)))


def timed(work: Any) -> tuple[Any, np.ndarray]:
    """Return what the work returns, and its wall and CPU seconds."""
    wall, cpu = perf_counter(), process_time()
    result = work()
    return result, np.array([perf_counter() - wall, process_time() - cpu])


def main() -> None:
    warnings.simplefilter("ignore", FutureWarning)  # of pandas, at the writes of the release
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--query", type=int, default=10_000)
    parser.add_argument("--reference", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-scarches", action="store_true")
    options = parser.parse_args()
    reference, query = cells(options.reference, options.dimensions, 1), cells(options.query, options.dimensions, 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds: dict[str, list[np.ndarray]] = {}
    for _ in range(options.runs):
        for name, columns in (("transfer_labels, 1 column", COLUMNS[:1]), ("transfer_labels, 5 columns", COLUMNS)):
            seconds.setdefault(name, []).append(
                timed(
                    lambda columns=columns: sp.tl.transfer_labels(
                        query, reference, columns, k=K, kernel="scarches", unknown_above=None
                    )
                )[1]
            )
        if not options.no_scarches:
            compare(query, reference, seconds)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{options.query:,} on {options.reference:,} cells, {options.dimensions} dimensions, {N_LABELS} labels, k = {K}; "
        f"median of {options.runs} runs; peak {peak:,.0f} MiB above the cells and imports ({before / 1024:,.0f} MiB)"
    )
    for name, runs in seconds.items():
        wall, cpu = np.median(runs, axis=0)
        print(f"{name:<45}{wall:10.3f} s wall {cpu:10.3f} s CPU")
    if not options.no_scarches:
        ratio("vote, scarches / ours", seconds["scarches: vote"], seconds["vote"])
        whole = [a + b for a, b in zip(seconds["scarches: search"], seconds["scarches: vote"], strict=True)]
        ratio("whole, scarches / ours", whole, seconds["transfer_labels, 1 column"])
        same = [a + b for a, b in zip(seconds["search"], seconds["scarches: vote"], strict=True)]
        ratio("whole, our search under both votes", same, seconds["transfer_labels, 1 column"])


def compare(query: AnnData, reference: AnnData, seconds: dict[str, list[np.ndarray]]) -> None:
    """Time both searches and both votes, and see that the labels are the same."""
    column = reference.obs[COLUMNS[0]].cat
    codes, names = column.codes.to_numpy(), column.categories
    (distances, indices), theirs = timed(lambda: scarches_search(query, reference))
    neighbors, ours = timed(lambda: nearest(query.obsm["X_scarches"], reference.obsm["X_scarches"], K))

    def ballots(rows: slice) -> np.ndarray:
        return vote(codes[neighbors.indices[rows]], kernel_weights(neighbors.distances[rows], "scarches"), len(names))

    (best, probability), voted = timed(lambda: best_labels(ballots, query.n_obs, list(names)))
    some = slice(0, LOOP_CELLS)
    labels = reference.obs[COLUMNS[0]].values  # a Categorical, as AnnData makes of every column of strings
    with threadpool_limits(1):
        expected, looped = timed(
            lambda: scarches_vote(neighbors.distances[some], neighbors.indices[some], labels, query.obs_names[some])
        )
    np.testing.assert_array_equal(names[best[some]], expected[0])
    np.testing.assert_allclose(1 - probability[some], expected[1], atol=1e-12)
    np.testing.assert_array_equal(query.obs[f"{COLUMNS[0]}_pred"].astype(str), names[best].astype(str))
    looped = looped * query.n_obs / min(LOOP_CELLS, query.n_obs)
    for name, spent in {"search": ours, "vote": voted, "scarches: search": theirs, "scarches: vote": looped}.items():
        seconds.setdefault(name, []).append(spent)
    again = scarches_vote(distances[some], indices[some], labels, query.obs_names[some])
    np.testing.assert_array_equal(again[0], expected[0])


def ratio(name: str, slow: list[np.ndarray], fast: list[np.ndarray]) -> None:
    wall = [a[0] / b[0] for a, b in zip(slow, fast, strict=True)]
    cpu = [a[1] / b[1] for a, b in zip(slow, fast, strict=True)]
    print(f"{name:<45}{median(wall):8.0f} wall ({min(wall):.0f} to {max(wall):.0f}), {median(cpu):8.0f} CPU")


if __name__ == "__main__":
    main()
