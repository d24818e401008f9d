"""BA-scVI, Fig. 2: are the authors' own fine labels kept when studies are aligned? 2-fold cross-validated neighbours.

    python experiments/bascvi_granularity.py --small
    python experiments/bascvi_granularity.py --data study.h5ad --labels author_label

"A major concern in the atlas-building community is that aligning datasets reduces the granularity of cell-type
detection." kNN accuracy of original author labels by 2-fold cross-validation within a study: 83 % for a breast study,
96 % when numerical subtypes are merged ("LP1" to "LP5" become "LP"), 99 % for brain, 83 % for blood.

Small: four simulated studies of five types of two to three subtypes each; each study names its subtypes in its own way
("type1_1"), merged by the part before the number. Accuracy is that of the 15 nearest cells of the other half of the
same study, in BA-scVI's joint space beside the study's own principal components. The identity is no alignment at all,
cells in a random order: the labels are gone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, Claim, as_they_are, labels_of, main, read, reference
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import scarches_plus as sp

ARGUMENTS = {"--labels": {"default": "author_label", "help": "obs column of the authors' own labels"}}


def accuracy(z, labels):
    """Return the accuracy of 15 nearest neighbours, by 2-fold cross-validation."""
    halves = StratifiedKFold(2, shuffle=True, random_state=0)
    return cross_val_score(KNeighborsClassifier(15), z, labels, cv=halves).mean()


def run(options):
    if options.data:
        adata = read(options.data)
        adata.obs["author_label"] = adata.obs[options.labels]
    else:
        adata = sp.datasets.simulate(
            1200, 300, 12, n_batches=4, clades=(5,), type_effect=0.4, batch_effect=0.4, rng=options.seed
        )
        parts = adata.obs["clade_1"].astype(str) + "_" + adata.obs["cell_type"].astype(str).str.removeprefix("type")
        adata.obs["author_label"] = parts.to_numpy()
    studies, labels = labels_of(adata, "batch"), labels_of(adata, "author_label")
    merged = pd.Series(labels).str.replace(r"[ _]?\d+$", "", regex=True).to_numpy()
    width = {"model_kwargs": {"n_hidden": 128}} if options.small else {}
    reference(adata, seed=options.seed, epochs=options.epochs or 60, recipe="bascvi", **width)
    joint = adata.obsm["X_scarches"]
    if options.method == IDENTITY:
        joint = np.random.default_rng(0).permutation(joint)
    rows = []
    for study in sorted(set(studies)):
        here = studies == study
        often = pd.Series(labels[here]).map(pd.Series(labels[here]).value_counts()).to_numpy() >= 10
        own = as_they_are(adata[here])[0]
        rows.append(
            {
                "study": study,
                "labels": len(set(labels[here][often])),
                "aligned": accuracy(joint[here][often], labels[here][often]),
                "aligned, merged": accuracy(joint[here][often], merged[here][often]),
                "alone (PCA)": accuracy(own[often], labels[here][often]),
            }
        )
    table = pd.DataFrame(rows)
    mean = table.mean(numeric_only=True)
    mixing = sp.metrics.entropy_batch_mixing(joint, studies, k=15, normalize=True)
    return table, [
        Claim("studies are aligned (EBM)", mixing, 0.5),
        Claim("author labels survive (accuracy)", mean["aligned"], 0.6, "0.83 to 0.99"),
        Claim("merged labels survive better", mean["aligned, merged"] - mean["aligned"], 0.0, "0.96 - 0.83"),
        Claim("they survive as well as in the study alone (which the paper does not compare)",
              mean["aligned"] - mean["alone (PCA)"], -0.1, asserted=False),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
