"""scANVI, Fig. 4: two snapshots of one differentiation, one of which goes further; mixing along pseudotime.

    python experiments/scanvi_pseudotime.py --small
    python experiments/scanvi_pseudotime.py --data hemato.h5ad --ordering potential

"in most areas of the trajectory the two datasets are well mixed, while at the extremes, the entropy reduces
significantly"; "scVI compares well in terms of both mixing the differentiation trajectories in each dataset and
preserving their original, continuous, structure".

Small: two branches from one progenitor, simulated; the first batch lacks cells beyond 0.7 of either branch (the cells
that only HEMATO-Tusi has). ``order`` runs from -1 (end of one branch) by 0 (progenitor) to 1. The identity leaves the
cells as they are.
"""

from __future__ import annotations

import numpy as np
from _experiment import IDENTITY, Claim, as_they_are, labels_of, main, read, reference
from sklearn.neighbors import NearestNeighbors

import scarches_plus as sp

ARGUMENTS = {"--ordering": {"default": "order", "help": "obs column, from one extreme to the other"}}
END = 0.7


def cells(options):
    if options.data:
        return read(options.data)
    branches = {("type0", "type1"): 0.48, ("type0", "type2"): 0.48}
    adata = sp.datasets.simulate(
        1200, 300, 3, n_batches=2, branching=3, type_effect=0.6, batch_effect=0.4, trajectories=branches,
        rng=options.seed,
    )  # fmt: skip
    adata = adata[adata.obs["trajectory"].notna().to_numpy()].copy()
    left = labels_of(adata, "trajectory") == sorted(set(labels_of(adata, "trajectory")))[0]
    adata.obs["order"] = adata.obs["pseudotime"].to_numpy() * np.where(left, -1, 1)
    early = (np.abs(adata.obs["order"]) < END).to_numpy()
    return adata[early | (labels_of(adata, "batch") == "batch1")].copy()


def run(options):
    adata = cells(options)
    if options.method == IDENTITY:
        z = as_they_are(adata)[0]
    else:
        reference(adata, seed=options.seed, epochs=options.epochs or 80)
        z = adata.obsm["X_scarches"]
    order = adata.obs[options.ordering].to_numpy(dtype=float)
    table = sp.metrics.mixing_along(z, labels_of(adata, "batch"), order, n_bins=10, k=30, normalize=True).reset_index()
    entropy = sp.metrics.batch_entropy(z, labels_of(adata, "batch"), k=30, normalize=True)
    low, high = np.quantile(order, [0.1, 0.9]) if options.data else (-0.85, 0.85)
    extreme = (order < low) | (order > high)
    middle = (order > low / 2) & (order < high / 2)
    near = NearestNeighbors(n_neighbors=16).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    continuous = np.corrcoef(order[near].mean(axis=1), order)[0, 1]
    return table, [
        Claim("the middle of the trajectory mixes (EBM)", entropy[middle].mean(), 0.5),
        Claim("its extremes, of one data set, mix less (EBM, difference)",
              entropy[middle].mean() - entropy[extreme].mean(), 0.08),
        Claim("neighbours are near in pseudotime (correlation)", continuous, 0.85),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
