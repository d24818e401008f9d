"""sp.tl.transfer_labels against the obvious loop over cells and labels, on the same neighbours.

    python benchmarks/transfer_labels.py

20,000 reference cells, 10,000 query cells, 20 dimensions, 30 labels; several runs, alternating. Prints seconds and ratios.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
from anndata import AnnData

import scarches_plus as sp
from scarches_plus._neighbors import nearest
from scarches_plus.tl._transfer import best_labels, kernel_weights
from scarches_plus.tl._transfer import vote as vote_of

N_REFERENCE, N_QUERY, N_LABELS, K, RUNS = 20_000, 10_000, 30, 50, 5
LOOP_CELLS = 500  # the loop runs on these and is extrapolated


def cells(n, rng):
    centres = np.random.default_rng(0).normal(scale=2.0, size=(N_LABELS, 20))
    labels = rng.integers(0, N_LABELS, n)
    z = centres[labels] + rng.normal(size=(n, 20))
    obs = pd.DataFrame({"label": pd.Categorical([f"type{i}" for i in labels])}, index=[f"c{i}" for i in range(n)])
    return AnnData(obs=obs, obsm={"X_scarches": z.astype(np.float32)})


def loop(distances, labels):
    """Votes of one cell after the other, label by label."""
    best, uncertainty = [], []
    for d, names in zip(distances, labels, strict=True):
        spread = np.sqrt(np.sum(d**2) / len(d))
        weights = np.exp(-d / (2 / spread) ** 2)
        weights /= weights.sum()
        probabilities = {name: weights[names == name].sum() for name in np.unique(names)}
        best.append(max(probabilities, key=probabilities.get))
        uncertainty.append(1 - probabilities[best[-1]])
    return np.array(best), np.array(uncertainty)


def main() -> None:
    rng = np.random.default_rng(1)
    reference, query = cells(N_REFERENCE, rng), cells(N_QUERY, rng)
    labels = reference.obs["label"].cat
    names = labels.categories.to_numpy()
    neighbors = nearest(query.obsm["X_scarches"], reference.obsm["X_scarches"], K)
    whole, vote, looped = [], [], []
    for _ in range(RUNS):
        start = perf_counter()
        sp.tl.transfer_labels(query, reference, "label", k=K, unknown_above=None)
        whole.append(perf_counter() - start)
        start = perf_counter()
        weights, codes = kernel_weights(neighbors.distances), labels.codes.to_numpy()
        best, probability = best_labels(
            lambda rows, w=weights, c=codes: vote_of(c[neighbors.indices[rows]], w[rows], len(names)),
            query.n_obs,
            list(names),
        )
        vote.append(perf_counter() - start)
        start = perf_counter()
        expected = loop(
            neighbors.distances[:LOOP_CELLS], names[labels.codes.to_numpy()][neighbors.indices[:LOOP_CELLS]]
        )
        looped.append((perf_counter() - start) * N_QUERY / LOOP_CELLS)
    np.testing.assert_array_equal(names[best[:LOOP_CELLS]], expected[0])
    np.testing.assert_allclose(1 - probability[:LOOP_CELLS], expected[1], atol=1e-12)
    ratios = [b / a for a, b in zip(vote, looped, strict=True)]
    print(f"{N_QUERY:,} on {N_REFERENCE:,} cells, {N_LABELS} labels, k = {K}; median of {RUNS} runs")
    print(f"transfer_labels, search included   {median(whole):.3f} s")
    print(f"vote                               {median(vote):.3f} s")
    print(f"loop over cells, from {LOOP_CELLS} cells     {median(looped):.3f} s")
    print(f"loop / vote                        {median(ratios):.0f} ({min(ratios):.0f} to {max(ratios):.0f})")


if __name__ == "__main__":
    main()
