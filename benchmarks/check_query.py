"""The share of the query check in sp.tl.map_query.

    python benchmarks/check_query.py

5,000 cells x 2,000 genes, counts as CSR and dense. Prints seconds of the check (median of 7) and of the mapping, and
the share.
"""

from __future__ import annotations

import warnings
from statistics import median
from time import perf_counter

import scvi

import scarches_plus as sp

N_CELLS, N_GENES, RUNS = 5_000, 2_000, 7
QUIET = {"enable_progress_bar": False}


def seconds_of(function):
    start = perf_counter()
    function()
    return perf_counter() - start


def main() -> None:
    warnings.simplefilter("ignore")
    scvi.settings.seed = 0
    cells = sp.datasets.simulate(3_000 + N_CELLS, N_GENES, n_types=8, n_batches=3, rng=0)
    cells.obs["batch"] = ["reference" if i < 3_000 else "query" for i in range(cells.n_obs)]
    reference, query = (cells[cells.obs["batch"] == name].copy() for name in ("reference", "query"))
    model = sp.tl.build_reference(reference, "batch", max_epochs=2, train_kwargs=QUIET)
    mapping = seconds_of(lambda: sp.tl.map_query(query, model, train_kwargs=QUIET))
    print(f"map_query: {mapping:.1f} s for {N_CELLS:,} cells x {N_GENES:,} genes")
    for storage, counts in (("CSR", query.X), ("dense", query.X.toarray())):
        query.X = counts
        check = median(seconds_of(lambda: sp.pp.check_query(query, model)) for _ in range(RUNS))
        print(f"check of {storage:<6} {1000 * check:6.0f} ms   {check / mapping:6.2%} of the mapping")


if __name__ == "__main__":
    main()
