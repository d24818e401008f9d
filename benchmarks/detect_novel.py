"""Time of detect_novel beside the obvious alternative, which needs no model either.

    python benchmarks/detect_novel.py
    python benchmarks/detect_novel.py --genes 16000 --types 20

The alternative: principal components of the reference's log-normalised cells, the query projected onto them, and
scikit-learn's local outlier factor (``novelty=True``, 20 neighbours). Both on the same counts, in turns, CPU seconds;
and what each finds of two types that the reference lacks (AUROC, where a batch effect sets the query apart).
"""

from __future__ import annotations

import argparse
from statistics import median
from time import process_time

import numpy as np
import scanpy as sc
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

import scarches_plus as sp


def cells(n_cells, n_genes, n_types):
    only = [f"type{n_types - 2}", f"type{n_types - 1}"]
    adata = sp.datasets.simulate(
        n_cells, n_genes, n_types, n_batches=4, mean_depth=5000.0, batch_effect=0.6,
        missing_types={f"batch{i}": only for i in range(3)}, rng=0,
    )  # fmt: skip
    is_query = (adata.obs["batch"] == "batch3").to_numpy()
    return adata[~is_query].copy(), adata[is_query].copy(), only


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=4000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--types", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    reference, query, unseen = cells(options.cells, options.genes, options.types)
    truth = np.isin(query.obs["cell_type"].astype(str), unseen)
    seconds, scores = {contrast: [], outlier_factor: []}, {}
    for run in range(options.runs + 1):
        for method, times in seconds.items():
            start = process_time()
            scores[method] = method(reference, query)
            if run:  # the first one imports
                times.append(process_time() - start)
    print(f"{reference.n_obs:,} and {query.n_obs:,} cells, {options.genes:,} genes, {options.types} types")
    for method, times in seconds.items():
        print(f"{method.__name__}: {median(times):.1f} s of CPU, AUROC {roc_auc_score(truth, scores[method]):.3f}")
    print(f"ratio {median(seconds[contrast]) / median(seconds[outlier_factor]):.1f}")


if __name__ == "__main__":
    main()
