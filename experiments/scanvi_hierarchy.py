"""scANVI, CORTEX: 265 types in 39 groups from five labelled cells of each, with and without the hierarchy.

    python experiments/scanvi_hierarchy.py --small
    python experiments/scanvi_hierarchy.py --data l5_all.h5ad --levels TaxonomyRank4 ClusterName

Weighted accuracy of 37 % where scANVI knows the hierarchy, 32 % where it does not, 32 % by neighbours in scVI's space,
23 % by neighbours in principal components.

Small: nine simulated types in three groups; once more with a fifth of the other cells labelled
by their group, which scANVI without a hierarchy has to leave unused. ``benchmarks/annotation/hierarchy.py`` runs 265
types in 39 groups and several schedules; docs/guide/hierarchies.md has what it gave. The identity knows no hierarchy.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, QUIET, Claim, as_they_are, begin, labels_of, main, read, reference
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

import scarches_plus as sp

ARGUMENTS = {"--levels": {"nargs": "+", "help": "obs columns of the hierarchy, from the coarsest"}}


def cells(options):
    if options.data:
        adata = read(options.data)
        adata.obs["cell_type"] = labels_of(adata, options.levels[-1])
        return adata, sp.pp.label_tree(adata, options.levels)
    adata = sp.datasets.simulate(
        700, 200, 9, n_batches=2, clades=(3,), type_effect=0.3, mean_depth=1000.0, rng=options.seed
    )
    return adata, sp.pp.label_tree(adata, adata.uns["simulate"]["levels"])


def run(options):
    adata, tree = cells(options)
    rng = np.random.default_rng(options.seed)
    types = adata.obs["cell_type"].astype(str)
    to_group = {name: tree.path(name)[0] for name in sorted(set(types))}
    few = (pd.Series(rng.random(adata.n_obs), adata.obs_names).groupby(types).rank() <= 5).to_numpy()
    coarse = ~few & (rng.random(adata.n_obs) < 0.2)
    adata.obs["label"] = types.where(few, "Unknown")
    adata.obs["label_or_group"] = adata.obs["label"].where(~coarse, types.map(to_group))
    base = reference(adata, seed=options.seed, epochs=options.epochs or 80)
    found = {}
    for name, z in {"kNN on PCA": as_they_are(adata)[0], "kNN on scVI": adata.obsm["X_scarches"]}.items():
        found[name] = KNeighborsClassifier(15, weights="distance").fit(z[few], types[few]).predict(z)
    for name in ("scANVI", "scANVI, hierarchy", "scANVI, hierarchy, groups labelled"):
        given, knows = adata.copy(), {}
        if "hierarchy" in name and options.method != IDENTITY:
            knows = {"hierarchy": tree}
            given.obs["label"] = adata.obs["label_or_group"] if "groups" in name else adata.obs["label"]
        begin(options.seed)
        model = sp.model.SCANVI.from_scvi_model(
            base, "Unknown", "label", adata=given, classifier_parameters={"n_layers": 2, "n_hidden": 128}, **knows
        )
        model.train(options.epochs or 20, plan_kwargs={"n_epochs_kl_warmup": None}, train_size=1.0, **QUIET)
        found[name] = model.predict()
    rest = ~few & ~coarse
    group = types.map(to_group)[rest]
    table = pd.DataFrame(
        [
            {
                "method": name,
                "accuracy, types": balanced_accuracy_score(types[rest], one[rest]),
                "accuracy, groups": balanced_accuracy_score(group, pd.Series(one).map(to_group).to_numpy()[rest]),
            }
            for name, one in found.items()
        ]
    )
    fine, broad = (table.set_index("method")[f"accuracy, {level}"] for level in ("types", "groups"))
    return table, [
        Claim("the hierarchy makes scANVI better (types)", fine["scANVI, hierarchy"] - fine["scANVI"], 0.0,
              "0.37 - 0.32", asserted=False),
        Claim("the hierarchy makes scANVI better (groups)", broad["scANVI, hierarchy"] - broad["scANVI"], 0.0),
        Claim("labels of groups help besides (groups)",
              broad["scANVI, hierarchy, groups labelled"] - broad["scANVI, hierarchy"], 0.0, asserted=False),
        Claim("scVI's space is ahead of principal components (kNN, types)", fine["kNN on scVI"] - fine["kNN on PCA"],
              0.0, "0.32 - 0.23", asserted=False),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
