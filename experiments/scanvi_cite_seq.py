"""scANVI, Fig. 5 and Suppl. Fig. 11: do neighbours in mRNA space have the same proteins, which no model has seen?

    python experiments/scanvi_cite_seq.py --small
    python experiments/scanvi_cite_seq.py --data pbmc.h5ad --labelled sorted --cite cite   # obsm["proteins"]

"scANVI outperformed both scVI and Seurat Alignment for a wide range of neighborhood sizes, providing a representation
for the mRNA data that is more consistent with the protein data"; "labels inferred by scANVI in the PBMC-CITE dataset
are consistent with the protein expression values".

Small: six simulated types that differ little in three batches, one labelled (sorted cells), one with ten proteins, six
of which mark a type each; proteins are scaled by the paper's mixture of two Gaussians. The identity puts principal
components of log counts in the place of both models, and random labels in that of scANVI's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, Claim, as_they_are, labels_of, main, read, reference
from sklearn.metrics import roc_auc_score

import scarches_plus as sp

ARGUMENTS = {
    "--labelled": {"default": "batch0", "help": "batch whose labels are given"},
    "--cite": {"default": "batch1", "help": "batch with proteins in obsm['proteins']"},
}


def cells(options):
    if options.data:
        return read(options.data)
    rng = np.random.default_rng(options.seed)
    adata = sp.datasets.simulate(900, 300, 6, n_batches=3, type_effect=0.22, batch_effect=0.3, rng=options.seed)
    number = adata.obs["cell_type"].astype(str).str.removeprefix("type").astype(int).to_numpy()
    own = number[:, None] == np.arange(10)  # proteins 6 to 9 mark nothing
    adata.obsm["proteins"] = np.log1p(rng.poisson(np.where(own, 200, 12) * rng.lognormal(0, 0.3, own.shape)))
    return adata


def run(options):
    adata = cells(options)
    labelled, cite = (labels_of(adata, "batch") == one for one in (options.labelled, options.cite))
    adata.obs["given"] = np.where(labelled, labels_of(adata), "Unknown")
    types = sorted(set(labels_of(adata)[labelled]))
    embeddings = {"PCA": as_they_are(adata)[0]}
    predicted = np.random.default_rng(options.seed).choice(types, adata.n_obs)
    for name, labels_key, recipe in (("scVI", None, "scvi"), ("scANVI", "given", "scanvi")):
        if options.method == IDENTITY:
            embeddings[name] = embeddings["PCA"]
            continue
        model = reference(adata, labels_key, seed=options.seed, epochs=options.epochs or 60, recipe=recipe)
        embeddings[name] = adata.obsm["X_scarches"].copy()
        predicted = model.predict() if labels_key else predicted
    proteins = sp.metrics.scale_proteins(np.asarray(adata.obsm["proteins"])[cite])
    table = pd.DataFrame(
        [
            {
                "method": name,
                "k": k,
                "discrepancy": sp.metrics.protein_discrepancy(z[cite], proteins, k=k),
                "overlap": sp.metrics.protein_neighbor_overlap(z[cite], proteins, k=k),
            }
            for name, z in embeddings.items()
            for k in (15, 30, 60)
        ]
    )
    mean = table.groupby("method")[["discrepancy", "overlap"]].mean()
    claims = [
        Claim("scANVI's neighbours have nearer proteins than scVI's (discrepancy, relative)",
              1 - mean.loc["scANVI", "discrepancy"] / mean.loc["scVI", "discrepancy"], 0.0),
        Claim("scANVI's neighbours are more often those of the proteins (overlap)",
              mean.loc["scANVI", "overlap"] - mean.loc["scVI", "overlap"], 0.0),
    ]  # fmt: skip
    if options.small:
        auroc = [roc_auc_score(predicted[cite] == one, proteins[:, i]) for i, one in enumerate(types)]
        claims.append(Claim("a label's marker protein is high in its cells (AUROC)", np.mean(auroc), 0.75))
    return table, claims


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
