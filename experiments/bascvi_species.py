"""BA-scVI, Fig. 3: does training on human and mouse cells together help the mouse, which has fewer studies?

    python experiments/bascvi_species.py --small
    python experiments/bascvi_species.py --data human.h5ad --mouse mouse.h5ad

"joint training with the inclusion of cell-type labels from both species resulted in the highest KNI and RbNI scores ...
the KNI and RbNI scores on the human scRNA datasets did not decrease." Types that appear once in each atlas (cerebellar
granule cells) can be labelled across species.

Small: four human studies and two small ones of mouse, simulated, with orthologs of one name
(``scarches_cross_species.py`` maps names); one type is in one study of either species only. KNI of mouse cells with
mouse labels, and with labels of both. The identity takes principal components of log counts for every embedding.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, Claim, as_they_are, labels_of, main, most_variable, read, reference, with_embedding

import scarches_plus as sp

ARGUMENTS = {"--mouse": {"help": "an h5ad file of mouse cells under human names, beside --data"}}


def cells(options):
    if options.data:
        both = {"human": read(options.data, None), "mouse": read(options.mouse, None)}
        adata = sp.pp.concat_studies(both, study_key="species")
        return adata[:, most_variable(adata)].copy()
    studies = [f"batch{i}" for i in range(6)]
    adata = sp.datasets.simulate(
        [250, 250, 250, 250, 150, 150], 300, 8, n_batches=6, type_effect=0.5, batch_effect=0.4,
        missing_types={one: ["type7"] for one in studies if one not in {"batch0", "batch4"}}, rng=options.seed,
    )  # fmt: skip
    adata.obs["species"] = np.where(adata.obs["batch"].isin(["batch4", "batch5"]), "mouse", "human")
    return adata


def embedded(adata, options):
    if options.method == IDENTITY:
        return as_they_are(adata)[0]
    adata = adata.copy()
    width = {"model_kwargs": {"n_hidden": 128}} if options.small else {}
    reference(adata, seed=options.seed, epochs=options.epochs or 60, recipe="bascvi", **width)
    return adata.obsm["X_scarches"]


def run(options):
    adata = cells(options)
    species, batches, types = (labels_of(adata, key) for key in ("species", "batch", "cell_type"))
    of = {name: species == name for name in ("mouse", "human")}
    joint = embedded(adata, options)
    whole = sp.metrics.kni(joint, batches, types).per_batch
    rows, both = [], {}
    for name, here in of.items():
        alone = embedded(adata[here], options)
        of_batches = whole.loc[np.unique(batches[here])]
        both[name] = np.average(of_batches["score"], weights=of_batches["n"])
        rows += [
            {"cells": name, "training": "alone", "labels": name, "KNI": sp.metrics.kni(alone, batches[here], types[here]).score},
            {"cells": name, "training": "joint", "labels": name, "KNI": sp.metrics.kni(joint[here], batches[here], types[here]).score},
            {"cells": name, "training": "joint", "labels": "both", "KNI": both[name]},
        ]  # fmt: skip
    ours, theirs = (with_embedding(adata[of[name]], joint[of[name]]) for name in ("mouse", "human"))
    sp.tl.transfer_labels(ours, theirs, "cell_type", use_rep="X", k=15, unknown_above=None)
    rare = [one for one in set(types[of["mouse"]]) if len(set(batches[of["mouse"] & (types == one)])) == 1]
    once = np.isin(labels_of(ours), rare)
    found = (labels_of(ours, "cell_type_pred") == labels_of(ours))[once].mean() if once.any() else np.nan
    table = pd.DataFrame(rows)
    score = table.set_index(["cells", "training", "labels"])["KNI"]
    return table, [
        Claim("joint training helps the mouse (KNI with labels of the mouse)",
              score["mouse", "joint", "mouse"] - score["mouse", "alone", "mouse"], 0.05),
        Claim("human cells lose nothing (KNI with human labels, no more than 0.1)",
              score["human", "joint", "human"] - score["human", "alone", "human"], -0.1),
        Claim("a type of one study of each species is labelled across species (accuracy)", found, 0.6),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
