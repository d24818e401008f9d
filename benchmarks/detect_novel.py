"""Time of detect_novel beside the obvious alternatives, which need no model either.

    python benchmarks/detect_novel.py
    python benchmarks/detect_novel.py --reference-cells 20000 --query-cells 10000
    python benchmarks/detect_novel.py --reference-cells 20000 --query-cells 100000 --runs 1 --alone

The alternatives: principal components of the reference's log-normalised cells, the query projected onto them, and
scikit-learn's local outlier factor (``novelty=True``, 20 neighbours); and a logistic regression on standardised log
expression (as CellTypist trains it), 1 minus its largest probability. All on the same counts, in turns, CPU seconds and
seconds; and what each finds of two types that the reference lacks (AUROC, where a batch effect sets the query apart).
The peak of memory is that of the process, with the cells in it.
"""

from __future__ import annotations

import argparse
import resource
import warnings
from statistics import median
from time import perf_counter, process_time

import numpy as np
import scanpy as sc
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

import scarches_plus as sp


def cells(options):
    """Return a reference of three batches and a query of one with two types more."""
    only = [f"type{options.types - 2}", f"type{options.types - 1}"]
    n_batches = 3 + -(-3 * options.query_cells // options.reference_cells)  # as many cells in each
    adata = sp.datasets.simulate(
        n_batches * options.reference_cells // 3, options.genes, options.types, n_batches=n_batches, mean_depth=3000.0,
        batch_effect=0.6, missing_types={f"batch{i}": only for i in range(3)}, rng=0,
    )  # fmt: skip
    in_reference = adata.obs["batch"].isin([f"batch{i}" for i in range(3)]).to_numpy()
    query = adata[np.flatnonzero(~in_reference)[: options.query_cells]].copy()
    return adata[in_reference].copy(), query, only


def contrast(reference, query):
    sp.tl.detect_novel(query, reference, "cell_type", batch_key="batch")
    return query.obs["novel_score"].to_numpy()


def outlier_factor(reference, query):
    logs = []
    for part in (reference, query):
        part = part.copy()
        sc.pp.normalize_total(part, target_sum=1e4)
        sc.pp.log1p(part)
        logs.append(part.X)
    pca = PCA(20, svd_solver="arpack", random_state=0).fit(logs[0])
    z_reference, z_query = (pca.transform(one) for one in logs)
    return -LocalOutlierFactor(20, novelty=True).fit(z_reference).score_samples(z_query)


def logistic(reference, query):
    x, y = (
        sc.pp.log1p(sc.pp.normalize_total(part, target_sum=1e4, copy=True), copy=True).X for part in (reference, query)
    )
    scaler = StandardScaler(with_mean=False).fit(x)
    model = LogisticRegression(C=0.1, max_iter=100).fit(scaler.transform(x), reference.obs["cell_type"])
    return 1 - model.predict_proba(scaler.transform(y)).max(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference-cells", type=int, default=3000)
    parser.add_argument("--query-cells", type=int, default=1000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--types", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="Leave out the alternatives.")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    reference, query, unseen = cells(options)
    truth = np.isin(query.obs["cell_type"].astype(str), unseen)
    methods = (contrast,) if options.alone else (contrast, outlier_factor, logistic)
    spent, scores = {method: [] for method in methods}, {}
    contrast(reference[:500].copy(), query[:200].copy())  # imports
    for _ in range(options.runs):
        for method, times in spent.items():
            start, cpu = perf_counter(), process_time()
            scores[method] = method(reference, query)
            times.append((process_time() - cpu, perf_counter() - start))
    print(f"{reference.n_obs:,} and {query.n_obs:,} cells, {options.genes:,} genes, {options.types} types")
    base = median(cpu for cpu, _ in spent[contrast])
    for method, times in spent.items():
        cpu, seconds = (median(one) for one in zip(*times, strict=True))
        auroc = roc_auc_score(truth, scores[method])
        print(f"{method.__name__}: {cpu:.1f} s of CPU, {seconds:.1f} s, AUROC {auroc:.3f}, ratio {base / cpu:.1f}")
    print(f"peak of memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
