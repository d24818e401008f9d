"""scANVI, Fig. 2: pairs of data sets harmonised by scVI and scANVI; mixing and retained structure over k.

    python experiments/scanvi_pairs.py --small
    python experiments/scanvi_pairs.py --data pair.h5ad

"scVI performs well in terms of mixing, while comparing favorably to the other methods in terms of retainment of the
original structure, for a wide range of neighborhood sizes"; "scANVI is capable of effectively harmonizing the datasets,
with a similar performance to that of scVI in terms of entropy of batch mixing and k-nearest neighbors purity".

Small: a simulated pair of six types, the labels of the first given to scANVI; beside them principal components, and
ComBat by scanpy, as in the paper (Seurat and MNN run elsewhere: benchmarks/matrix). Entropy over that of batches that
mix freely; purity against ten principal components of each data set, which favours methods that end in principal
components; the simulated batch effect, one number for each gene on the log scale, is what ComBat takes out. The
identity puts principal components in the place of scVI and scANVI."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scanpy as sc
from _experiment import IDENTITY, Claim, as_they_are, labels_of, log_normalized, main, read, reference

import scarches_plus as sp

SIZES = (10, 30, 100)


def combat(adata):
    logged = log_normalized(adata)
    logged.X = logged.X.toarray()
    return sc.pp.pca(sc.pp.combat(logged, key="batch", inplace=False), n_comps=10, random_state=0)


def run(options):
    adata = (
        read(options.data)
        if options.data
        else sp.datasets.simulate(800, 300, 6, n_batches=2, type_effect=0.4, batch_effect=0.4, rng=options.seed)
    )
    batches = labels_of(adata, "batch")
    first = sorted(set(batches))[0]
    adata.obs["given"] = np.where(batches == first, labels_of(adata), "Unknown")
    embeddings = {"PCA": as_they_are(adata)[0], "ComBat": combat(adata)}
    for name, labels_key, recipe in (("scVI", None, "scvi"), ("scANVI", "given", "scanvi")):
        if options.method == IDENTITY:
            embeddings[name] = embeddings["PCA"]
            continue
        reference(adata, labels_key, seed=options.seed, epochs=options.epochs or 60, recipe=recipe)
        embeddings[name] = adata.obsm["X_scarches"].copy()
    separate = {one: as_they_are(adata[batches == one])[0] for one in set(batches)}
    table = pd.DataFrame(
        [
            {
                "method": name,
                "k": k,
                "EBM": sp.metrics.entropy_batch_mixing(z, batches, k=k, normalize=True),
                "kNN purity": sp.metrics.neighbor_preservation(z, separate, batches, k=k),
            }
            for name, z in embeddings.items()
            for k in SIZES
        ]
    )
    mean = table.groupby("method")[["EBM", "kNN purity"]].mean()
    ebm, purity = mean["EBM"], mean["kNN purity"]
    return table, [
        Claim("scVI mixes data sets (EBM, scVI less PCA)", ebm["scVI"] - ebm["PCA"], 0.3),
        Claim("scANVI mixes as scVI does (EBM, no more than 0.05 below)", ebm["scANVI"] - ebm["scVI"], -0.05),
        Claim("scVI mixes better than ComBat (EBM)", ebm["scVI"] - ebm["ComBat"], 0.0, asserted=False),
        Claim("scVI keeps more structure than ComBat (purity)", purity["scVI"] - purity["ComBat"], 0.0, asserted=False),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__)
