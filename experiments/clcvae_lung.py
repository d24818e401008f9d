"""CLCVAE, Fig. 3: healthy lung onto the Human Lung Cell Atlas (scANVI), with types that the atlas lacks.

    python experiments/clcvae_lung.py --small
    python experiments/clcvae_lung.py --data atlas_and_query.h5ad --queries Meyer_2021

"For 5/11 of these cell types, the tail distribution of uncertainty scores were fatter in the representation learned by
CLCVAE compared to architecture surgery ... For the rest of the cell type populations, which are cell types in the query
that are present in the reference, the score distribution was mostly comparable to standard surgery."

Small: ten simulated types in three studies of an atlas; three of them are in the query only, one of which lies on a
trajectory from a type of the atlas ("being part of a continuum"). The model is scANVI, mapped by surgery and with EWC
(weight 156) without the query's labels. The tail is the share of a type's cells above an uncertainty of 0.3 (k = 50);
separation is the silhouette of unseen cells among all of the query, ELBO that of the query's cells. The identity maps
by surgery under both names."""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, Claim, labels_of, main, mapped, read, reference, split, with_embedding
from sklearn.metrics import roc_auc_score, silhouette_samples

import scarches_plus as sp

ARGUMENTS = {"--queries": {"nargs": "+", "default": ["batch3"]}}
UNSEEN = ["type3", "type6", "type8"]


def run(options):
    adata = (
        read(options.data)
        if options.data
        else sp.datasets.simulate(
            [350, 350, 350, 500], 300, 10, n_batches=4, type_effect=0.4, batch_effect=0.5,
            missing_types=dict.fromkeys(("batch0", "batch1", "batch2"), UNSEEN),
            trajectories={("type2", "type3"): 0.1}, rng=options.seed,
        )
    )  # fmt: skip
    known, query = split(adata, options.queries)
    model = reference(known, "cell_type", seed=options.seed, epochs=options.epochs or 40, recipe="scanvi")
    sp.train.estimate_importance(model)
    nothing = options.method == IDENTITY
    ways = {"surgery": {}, "CLCVAE": {} if nothing else {"strategy": "clcvae"}}
    types = labels_of(query)
    unseen = ~np.isin(types, labels_of(known))
    groups = np.where(unseen, types, "known")
    tails, separation, elbo, auroc = {}, {}, {}, {}
    for way, how in ways.items():
        other = mapped(query, model, seed=options.seed, epochs=options.epochs or 60, **how)
        ours, theirs = with_embedding(query, query.obsm["X_scarches"]), with_embedding(known, other.embed(known))
        sp.tl.transfer_labels(ours, theirs, "cell_type", use_rep="X", k=50, unknown_above=None)
        uncertainty = ours.obs["cell_type_uncertainty"]
        tails[way] = (uncertainty > 0.3).groupby(types).mean()
        separation[way] = silhouette_samples(ours.obsm["X"], groups)[unseen].mean()
        elbo[way] = float(other.get_elbo())
        auroc[way] = roc_auc_score(unseen, uncertainty)
    table = pd.DataFrame(tails)
    table.insert(0, "in the atlas", np.isin(table.index, labels_of(known)))
    change = (table["CLCVAE"] - table["surgery"]).groupby(table["in the atlas"]).mean()
    fatter = (table["CLCVAE"] > table["surgery"])[~table["in the atlas"]].mean()
    return table.rename_axis("cell type").reset_index(), [
        Claim("types that the atlas lacks have fatter tails (share of types)", fatter, 0.4, "5 of 11", asserted=False),
        Claim("uncertainty ranks unseen cells better (AUROC)", auroc["CLCVAE"] - auroc["surgery"], 0.0, asserted=False),
        Claim("unseen types stand apart better (silhouette)", separation["CLCVAE"] - separation["surgery"], 0.03),
        Claim("CLCVAE learns of the query what surgery cannot (ELBO per cell)", elbo["CLCVAE"] - elbo["surgery"], 1.0),
        Claim("tails of types that the atlas has are comparable (less than 0.15 apart)",
              0.15 - abs(change[True]), 0.0),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
