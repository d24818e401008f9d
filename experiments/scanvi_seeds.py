"""scANVI, Fig. 6: subsets of T cells from the seeds that few markers single out; scANVI, neighbours, clusters.

    python experiments/scanvi_seeds.py --small
    python experiments/scanvi_seeds.py --data purified_pbmc

84 % of cells annotated correctly by scANVI; 73 % by the 10 nearest seeds in scVI's space, 74 % by k-means there.
"DBSCAN does not partition the data into more than one cluster (scanning through a large number of parameter values)".

Small: four simulated subsets that differ little, with three sparse markers each (``benchmarks/annotation/seeds.py``,
which takes more cells and seeds). Weighted accuracy on all cells that are no seeds; clusters are named by their seeds'
majority. The identity puts the nearest seeds in scANVI's place.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from _experiment import IDENTITY, QUIET, Claim, begin, labels_of, main, read, reference
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import scarches_plus as sp

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "annotation"))
import seeds as benchmark

#: The paper's markers, under today's symbols (docs/guide/seeds.md).
MARKERS = {
    "CD4 regulatory": {
        "positive": ["TNFRSF18", "CTLA4", "FOXP3", "IL2RA"],
        "negative": ["S100A4", "PTPRC", "CD8B"],
    },
    "CD4 naive": {"positive": ["CCR7", "CD4"], "negative": ["S100A4", "PTPRC", "FOXP3", "IL2RA", "CD69"]},
    "CD4 memory": {"positive": ["S100A4"], "negative": ["IL2RA", "FOXP3", "TNFRSF18", "CCR7"]},
    "CD8 naive": {"positive": ["CD8B", "CCR7"], "negative": ["CD4"]},
}


#: Sorted populations of ``sp.datasets.purified_pbmc()``.
SORTED = {
    "regulatory_t": "CD4 regulatory",
    "naive_t": "CD4 naive",
    "memory_t": "CD4 memory",
    "naive_cytotoxic": "CD8 naive",
}


def by_clusters(clusters, seeds, labels):
    """Return for every cell the label of most seeds of its cluster, of all seeds where it has none."""
    most = pd.Series(labels[seeds]).groupby(clusters[seeds]).agg(lambda one: one.mode()[0])
    return pd.Series(clusters).map(most).fillna(pd.Series(labels[seeds]).mode()[0]).to_numpy()


def largest_partition(z):
    """Return DBSCAN's clusters at the radius, of a range, that finds the most of at least 5 % of the cells."""
    reach = NearestNeighbors(n_neighbors=16).fit(z).kneighbors(z)[0][:, -1]
    found = [DBSCAN(eps=eps, min_samples=15).fit_predict(z) for eps in np.quantile(reach, np.linspace(0.05, 0.95, 10))]
    return max(found, key=lambda one: (np.bincount(one[one >= 0], minlength=1) > 0.05 * len(z)).sum())


def run(options):
    if options.data:
        adata, markers = read(options.data, None), MARKERS
        subset = adata.obs["cell_type"].astype(str).map(lambda name: SORTED.get(name, name))
        adata = adata[subset.isin(list(MARKERS)).to_numpy()].copy()
        adata.obs["cell_type"] = subset[adata.obs_names]
    else:
        adata, markers = benchmark.simulated(options.seed, 0.18, 1200, 300)
    sp.pp.seed_labels(adata, markers, 50)
    labels, truth = labels_of(adata, "seed_label"), labels_of(adata)
    seeds = labels != "Unknown"
    base = reference(adata, "seed_label", seed=options.seed, epochs=options.epochs or 40)
    z = adata.obsm["X_scarches"].copy()
    dbscan = largest_partition(z)
    found = {
        "kNN on scVI": KNeighborsClassifier(10).fit(z[seeds], labels[seeds]).predict(z),
        "k-means on scVI": by_clusters(KMeans(len(markers), random_state=0).fit_predict(z), seeds, labels),
        "DBSCAN on scVI": by_clusters(dbscan, seeds, labels),
    }
    found["scANVI"] = found["kNN on scVI"]
    if options.method != IDENTITY:
        recipe = sp.model.RECIPES["scanvi"]
        begin(options.seed)
        model = sp.model.SCANVI.from_scvi_model(base, "Unknown", **recipe.semi_supervised_model_kwargs)
        model.train(max_epochs=options.epochs or 40, **recipe.semi_supervised_kwargs, **QUIET)
        found["scANVI"] = model.predict()
    accuracy = {name: balanced_accuracy_score(truth[~seeds], one[~seeds]) for name, one in found.items()}
    n_clusters = int((np.bincount(dbscan[dbscan >= 0], minlength=1) > 0.05 * len(z)).sum())
    table = pd.DataFrame({"method": list(accuracy), "weighted accuracy": list(accuracy.values())})
    return table, [
        Claim("scANVI is ahead of the nearest seeds (accuracy)",
              accuracy["scANVI"] - accuracy["kNN on scVI"], 0.0, "0.84 - 0.73"),
        Claim("scANVI is ahead of k-means (accuracy)",
              accuracy["scANVI"] - accuracy["k-means on scVI"], 0.05, "0.84 - 0.74"),
        Claim("DBSCAN finds fewer clusters than subsets", len(markers) - n_clusters, 0.0, "1 cluster"),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__)
