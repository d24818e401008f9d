"""scANVI, Fig. 3: stress tests of two data sets that share no cell type, or all but one.

    python experiments/scanvi_overlap.py --small
    python experiments/scanvi_overlap.py --data pbmc_pair.h5ad --types "NK cells" "B cells" ...

"for a given cell type c0, we only keep cells of this type in the PBMC-CITE dataset and remove all cells of this type
from the PBMC-8K dataset. ... both scVI and scANVI exhibit a consistently low level of batch mixing"; without c0 in one
of them, "the entropy of batch mixing from the unique populations is low", and "for the populations that are indeed
common to the two datasets, scVI and scANVI are capable of mixing them properly".

Small: a simulated pair of six types; two types in turn (the paper has six). Entropy of batch mixing, k = 50 or a tenth
of the cells, over that of batches that mix freely. The identity leaves the cells as they are, which mixes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, Claim, as_they_are, labels_of, main, read, reference

import scarches_plus as sp

ARGUMENTS = {"--types": {"nargs": "+", "default": ["type1", "type4"], "help": "types to withhold in turn"}}


def embedded(adata, options):
    if options.method == IDENTITY:
        return as_they_are(adata)[0]
    reference(adata, seed=options.seed, epochs=options.epochs or 60)
    return adata.obsm["X_scarches"]


def run(options):
    pair = (
        read(options.data)
        if options.data
        else sp.datasets.simulate(800, 300, 6, n_batches=2, type_effect=0.5, batch_effect=0.3, rng=options.seed)
    )
    batches, types = labels_of(pair, "batch"), labels_of(pair)
    first = sorted(set(batches))[0]
    rows = []
    for withheld in options.types:
        of_it = types == withheld
        for test, kept in {
            "no overlap": np.where(batches == first, of_it, ~of_it),
            "partial overlap": (batches == first) | ~of_it,
        }.items():
            adata = pair[kept.astype(bool)].copy()
            z = embedded(adata, options)
            k = min(50, adata.n_obs // 10)
            entropy = sp.metrics.batch_entropy(z, labels_of(adata, "batch"), k=k, normalize=True)
            unique = labels_of(adata) == withheld
            shared = np.nan if test == "no overlap" else entropy[~unique].mean()
            rows.append({"withheld": withheld, "test": test, "EBM, unique type": entropy[unique].mean(),
                         "EBM, shared types": shared})  # fmt: skip
    table = pd.DataFrame(rows)
    mean = table.groupby("test")[["EBM, unique type", "EBM, shared types"]].mean()
    partial = mean.loc["partial overlap"]
    return table, [
        Claim("data sets without a common type stay apart (1 - EBM)",
              1 - mean.loc["no overlap", "EBM, unique type"], 0.7),
        Claim("a type of one data set stays apart (1 - EBM)", 1 - partial["EBM, unique type"], 0.6),
        Claim("common types mix (EBM)", partial["EBM, shared types"], 0.5),
        Claim("common types mix more than the unique one (EBM, difference)",
              partial["EBM, shared types"] - partial["EBM, unique type"], 0.3),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
