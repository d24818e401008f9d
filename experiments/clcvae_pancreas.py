"""CLCVAE, Fig. 1: does EWC keep what fine-tuning forgets, on the pancreas of nine technologies?

    python experiments/clcvae_pancreas.py --small
    python experiments/clcvae_pancreas.py --data pancreas --queries celseq2 smartseq2

"fine-tuning the reference model on the query leads to forgetting ... the EWC regularization in the CLCVAE model is
essential to prevent forgetting". The CLCVAE "was marginally better in batch silhouette, cell type silhouette, cell type
F1 scores and in preserving graph connectivity": 0.870, 0.618, 0.617 and 0.985 against 0.871, 0.611, 0.604 and 0.986 by
surgery, 0.853, 0.586, 0.604 and 0.984 by fine-tuning (stored tables; one seed, other numbers of epochs).

Small: four simulated technologies, two of them the query; all ways train for the same epochs. "kept" is the share of
the reference cells' 15 neighbours that remain, drift how far they moved relative to their spread. Silhouettes,
connectivity and isolated labels are scIB's, over reference and query. The identity gives EWC and replay a weight of
nothing: fine-tuning under their names.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, Claim, labels_of, main, mapped, read, reference, split
from sklearn.metrics import silhouette_samples

import scarches_plus as sp

ARGUMENTS = {"--queries": {"nargs": "+", "default": ["batch2", "batch3"]}}


def silhouettes(z, batches, types):
    """Return scIB's silhouettes of labels and of batches, both in 0 to 1."""
    of_labels = (silhouette_samples(z, types).mean() + 1) / 2
    of_batches = [
        1 - np.abs(silhouette_samples(z[types == one], batches[types == one])).mean()
        for one in sorted(set(types))
        if 1 < len(set(batches[types == one])) < (types == one).sum()
    ]
    return of_labels, np.mean(of_batches)


def run(options):
    adata = (
        read(options.data)
        if options.data
        else sp.datasets.simulate(
            1400, 300, 8, n_batches=4, type_effect=0.4, batch_effect=0.5,
            missing_types={"batch0": ["type6"], "batch1": ["type6"], "batch2": ["type6"]}, rng=options.seed,
        )
    )  # fmt: skip
    known, query = split(adata, options.queries)
    together = [known, query]
    batches, types = (np.concatenate([labels_of(one, key) for one in together]) for key in ("batch", "cell_type"))
    model = reference(known, seed=options.seed, epochs=options.epochs or 50)
    sp.train.estimate_importance(model)
    sp.train.store_anchors(model)
    before = known.obsm["X_scarches"].copy()
    nothing = options.method == IDENTITY
    ways = {
        "surgery": {},
        "fine-tuning": {"strategy": "all", "penalties": ()},
        "CLCVAE": {"strategy": "all", "penalties": () if nothing else [sp.train.EWC(weight=156.0)]},
        "latent replay": {"strategy": "all", "penalties": () if nothing else [sp.train.LatentReplay(weight=1.0)]},
    }
    rows = []
    for way, how in ways.items():
        other = mapped(query, model, seed=options.seed, epochs=options.epochs or 60, **how)
        after = other.embed(known)
        z = np.concatenate([after, query.obsm["X_scarches"]])
        drift = sp.metrics.reference_drift(before, after)
        of_labels, of_batches = silhouettes(z, batches, types)
        rows.append(
            {
                "way": way,
                "kept": drift.neighbor_preservation,
                "drift": drift.relative_rmsd,
                "batch silhouette": of_batches,
                "type silhouette": of_labels,
                "connectivity": sp.metrics.graph_connectivity(z, types).mean(),
                "isolated F1": sp.metrics.isolated_label_score(z, batches, types).mean(),
            }
        )
    table = pd.DataFrame(rows)
    by = table.set_index("way")
    names = {"batch silhouette": "0.870 - 0.871", "type silhouette": "0.618 - 0.611",
             "connectivity": "0.985 - 0.986", "isolated F1": "0.617 - 0.604"}  # fmt: skip
    kept = by["kept"]
    return table, [
        Claim("EWC keeps neighbourhoods that fine-tuning forgets", kept["CLCVAE"] - kept["fine-tuning"], 0.1),
        Claim("EWC keeps the reference nearer to its place (drift)",
              by.loc["fine-tuning", "drift"] - by.loc["CLCVAE", "drift"], 0.1),
        Claim("replay keeps neighbourhoods that fine-tuning forgets", kept["latent replay"] - kept["fine-tuning"], 0.05),
        *(Claim(f"CLCVAE against surgery, {name}", by.loc["CLCVAE", name] - by.loc["surgery", name], 0.0, paper,
                asserted=False) for name, paper in names.items()),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
