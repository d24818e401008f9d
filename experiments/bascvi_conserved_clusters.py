"""BA-scVI, Fig. 4a-c: label propagation against k-means, and clusters that span tissues in human and mouse.

    python experiments/bascvi_conserved_clusters.py --small
    python experiments/bascvi_conserved_clusters.py --data atlas.h5ad --tissues 10

"LP results aligned well with the original author as well as standardized labels, compared to K-means, as measured by
the Adjusted Rand Index"; "Clusters were filtered for those containing cells from 10 or more tissues in both the mouse
and human datasets; potential artifactual groupings were also removed. After this, 32 conserved cross-tissue clusters
remained". ``--data`` needs ``obs`` columns ``tissue`` and ``species`` besides.

Small: eight simulated types of very unequal size in six studies, two of them mouse, with a tissue each for half of the
types and any tissue for the other half; ``sp.tl.conserved_clusters`` keeps those with at least 5 cells in each of three
tissues of either species. The identity makes one cluster of all cells.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, Claim, main, read, reference

import scarches_plus as sp

ARGUMENTS = {"--tissues": {"type": int, "default": 3, "help": "that a cluster has to span in each species"}}
SHARES = {"type0": 0.3, "type1": 0.25, "type2": 0.15, "type3": 0.1, "type4": 0.06, "type5": 0.05, "type6": 0.05}


def cells(options):
    if options.data:
        return read(options.data)
    rng = np.random.default_rng(options.seed)
    adata = sp.datasets.simulate(
        1500, 300, 8, n_batches=6, type_effect=0.5, batch_effect=0.3, type_shares=SHARES, rng=options.seed
    )
    adata.obs["species"] = np.where(adata.obs["batch"].isin(["batch4", "batch5"]), "mouse", "human")
    number = adata.obs["cell_type"].astype(str).str.removeprefix("type").astype(int).to_numpy()
    tissue = np.where(number % 2, number // 2, rng.integers(0, 4, adata.n_obs))  # odd types live in one tissue
    adata.obs["tissue"] = pd.Series(tissue, adata.obs_names).map("tissue{}".format)
    return adata


def run(options):
    adata = cells(options)
    if options.method == IDENTITY:
        adata.obs["propagated"] = adata.obs["kmeans"] = pd.Categorical(["0"] * adata.n_obs)
    else:
        reference(adata, seed=options.seed, epochs=options.epochs or 60)
        sp.tl.cluster(adata, k=min(50, adata.n_obs // 50), rng=options.seed, key_added="propagated")
        sp.tl.cluster(adata, method="kmeans", rng=options.seed, key_added="kmeans")
    agreement = sp.tl.cluster_agreement(adata, ["propagated", "kmeans"], "cell_type")["cell_type"]
    spans = sp.tl.conserved_clusters(
        adata, "propagated", min_values=options.tissues, min_cells=5 if options.small else 20
    )
    conserved = list(spans.index[spans["kept"]])
    modal = adata.obs.groupby("propagated", observed=True)["cell_type"].agg(lambda one: one.mode()[0])
    size = adata.obs["propagated"].value_counts()
    table = pd.DataFrame({"cluster": modal.index, "cells": size[modal.index].to_numpy(), "mode": modal.to_numpy()})
    table["conserved"] = table["cluster"].isin(conserved)
    found = set(modal[conserved].astype(str))
    claims = [
        Claim("label propagation agrees with labels (ARI)", agreement["propagated"], 0.5),
        Claim(
            "label propagation agrees better than k-means (ARI)", agreement["propagated"] - agreement["kmeans"], 0.05
        ),
    ]
    if options.small:
        everywhere = {f"type{i}" for i in (0, 2, 4, 6)}
        claims += [
            Claim("conserved clusters are of types that live everywhere (share)",
                  len(found & everywhere) / max(1, len(found)), 0.8),
            Claim("types that live everywhere are found (share)", len(found & everywhere) / 4, 0.6),
        ]  # fmt: skip
    return table, claims


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
