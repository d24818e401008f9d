"""BA-scVI, Fig. 1c: KNI and RbNI of an atlas of many studies, by model.

    python experiments/bascvi_alignment.py --small
    python experiments/bascvi_alignment.py --data scmark

"an optimized variant of scVI outperformed Harmony, PCA on highly variable genes, geneFormer ... and scGPT"; "an
optimized BA-scVI model outperforms scVI on scREF". The authors' released BA-scVI scores a KNI of 0.711 on scMARK.

Small: six simulated studies of eight types under strong batch effects, each type in at least two studies. Models: PCA
of log counts, scVI (recipe ``scvi``) and BA-scVI, by the recipe that this package chose (``bascvi``), all for one
number of epochs, narrower (128) and without scVI's larger variants, which take minutes. The identity puts the principal
components in the place of both models."""

from __future__ import annotations

import pandas as pd
from _experiment import IDENTITY, Claim, as_they_are, labels_of, main, read, reference

import scarches_plus as sp


def run(options):
    adata = (
        read(options.data)
        if options.data
        else sp.datasets.simulate(
            1200, 300, 8, n_batches=6, type_effect=0.5, batch_effect=0.6, depth_effect=0.5,
            missing_types={f"batch{i}": [f"type{i}"] for i in range(6)}, rng=options.seed,
        )
    )  # fmt: skip
    batches, types = labels_of(adata, "batch"), labels_of(adata)
    embeddings = {"PCA": as_they_are(adata)[0]}
    width = {"model_kwargs": {"n_hidden": 128}} if options.small else {}
    for name, recipe, epochs in (("scVI", "scvi", 50), ("BA-scVI", "bascvi", 50)):
        if options.method == IDENTITY:
            embeddings[name] = embeddings["PCA"]
            continue
        reference(adata, seed=options.seed, epochs=options.epochs or epochs, recipe=recipe, **width)
        embeddings[name] = adata.obsm["X_scarches"].copy()
    rows = []
    for name, z in embeddings.items():
        kni = sp.metrics.kni(z, batches, types)
        rows.append({"model": name, "KNI": kni.score, "RbNI": sp.metrics.rbni(z, batches, types).score,
                     "EBM": sp.metrics.entropy_batch_mixing(z, batches, k=15, normalize=True),
                     "same type": sp.metrics.label_purity(z, types, k=15).mean()})  # fmt: skip
    table = pd.DataFrame(rows)
    kni = table.set_index("model")["KNI"]
    return table, [
        Claim("scVI aligns studies better than PCA (KNI)", kni["scVI"] - kni["PCA"], 0.1),
        Claim("BA-scVI aligns studies better than PCA (KNI)", kni["BA-scVI"] - kni["PCA"], 0.1),
        Claim("BA-scVI aligns studies better than scVI (KNI)", kni["BA-scVI"] - kni["scVI"], 0.0, asserted=False),
    ]


if __name__ == "__main__":
    main(run, __doc__)
