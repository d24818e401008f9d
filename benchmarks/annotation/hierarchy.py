"""Does scANVI annotate better if it knows the hierarchy of labels (scANVI, Suppl. Note 4)?

    python benchmarks/annotation/hierarchy.py                        # simulated: 265 types in 39 groups, two seeds
    python benchmarks/annotation/hierarchy.py --data kang_ctrl_8donors.h5ad --seeds 0 1 2 3 4

Some cells of every type are labelled (5), the others have to be annotated. One scVI model for each seed; from it scANVI
without and with the hierarchy, trained jointly and in turns, and with a fifth of the other cells labelled by their
group only, which plain scANVI cannot use. Beside them the 15 nearest labelled neighbours in scVI's latent space and in
10 principal components. A row per run is appended to ``benchmarks/results/hierarchy.csv``; runs that are there are not
repeated.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scvi
import torch
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier

import scarches_plus as sp

RESULTS = Path(__file__).parent.parent / "results" / "hierarchy.csv"
QUIET = {"enable_progress_bar": False}
UNKNOWN = "Unknown"
#: What people who sort blood cells agree on, in the words of the files.
PBMC = {
    "kang_ctrl_8donors": {
        "lymphoid": {"T cells": ["CD4 T cells", "CD8 T cells"], "NK cells": [], "B cells": []},
        "myeloid": {"monocytes": ["CD14+ Monocytes", "FCGR3A+ Monocytes"], "Dendritic cells": []},
        "Megakaryocytes": [],
    },
    "pbmc_6batch": {
        "lymphoid": {"T": ["CD4 T", "CD8 T"], "NK": [], "B": []},
        "myeloid": {"Mono": ["CD14 Mono", "CD16 Mono"], "DC": []},
        "Mk": [],
    },
}
ALTERNATING = {"schedule": "alternating", "classifier_epochs": 100}
#: Whether scANVI knows the hierarchy, whether groups are labels, and how it trains.
METHODS = {
    "flat": (False, False, {}),
    "hierarchy": (True, False, {}),
    "hierarchy, groups labelled": (True, True, {}),
    "flat, alternating": (False, False, ALTERNATING),
    "hierarchy, alternating": (True, False, ALTERNATING),
}
BASELINES = ("scVI, kNN", "PCA, kNN")
#: Whatever the depth of the hierarchy.
SCORES = [
    *("n_cells", "precision", "recall", "f1", "weighted_f1"),
    *(f"{score}_{level}" for level in ("1", "leaf") for score in ("accuracy", "weighted_accuracy", "macro_f1")),
]


def cells_of(options, seed):
    """Return cells and their hierarchy."""
    if options.data is None:
        adata = sp.datasets.simulate(
            options.cells, 1000, 265, n_batches=2, clades=(39,), type_effect=options.effect, mean_depth=2000.0, rng=seed
        )
        return adata, sp.pp.label_tree(adata, adata.uns["simulate"]["levels"])
    adata = anndata.read_h5ad(options.data)
    chosen = np.random.default_rng(seed).permutation(adata.n_obs)[: options.cells]
    return adata[np.sort(chosen)].copy(), sp.pp.label_tree(PBMC[options.data.stem])


def seeded(adata, tree, n_labelled, seed):
    """Write labels of some cells into ``obs``, and those and groups of others beside them."""
    rng = np.random.default_rng(seed)
    types = adata.obs["cell_type"].astype(str)
    order = pd.Series(rng.random(adata.n_obs), index=adata.obs_names).groupby(types).rank()
    few = (order <= n_labelled).to_numpy()
    adata.obs["label"] = types.where(few, UNKNOWN)
    grouped = ~few & (rng.random(adata.n_obs) < 0.2)
    adata.obs["label_or_group"] = adata.obs["label"].where(~grouped, types.map(lambda name: tree.path(name)[0]))
    return few


def scanvi(base, adata, tree, method, options, seed):
    knows, groups, plan = METHODS[method]
    scvi.settings.seed = seed
    cells = adata.copy()
    cells.obs["label"] = cells.obs["label_or_group"] if groups else cells.obs["label"]
    extra = {"hierarchy": tree} if knows else {}
    model = sp.model.SCANVI.from_scvi_model(
        base, UNKNOWN, "label", adata=cells, classifier_parameters={"n_layers": 2, "n_hidden": 256}, **extra
    )
    model.train(
        options.semi_supervised_epochs,
        plan_kwargs={"n_epochs_kl_warmup": None, **plan},
        train_size=1.0,
        batch_size=64,
        **QUIET,
    )
    return model.predict()


def baseline(method, base, adata, labelled):
    z = base.get_latent_representation() if method == "scVI, kNN" else adata.obsm["X_pca"]
    votes = KNeighborsClassifier(15, weights="distance").fit(z[labelled], adata.obs["label"][labelled])
    return votes.predict(z)


def principal_components(adata):
    logged = sc.pp.normalize_total(adata, target_sum=1e4, copy=True)
    sc.pp.log1p(logged)
    sc.pp.pca(logged, n_comps=10)
    adata.obsm["X_pca"] = logged.obsm["X_pca"]


def runs_of_seed(options, seed, methods):
    """Yield the scores of every method."""
    adata, tree = cells_of(options, seed)
    labelled = seeded(adata, tree, options.labelled, seed)
    if not methods:
        return
    scvi.settings.seed = seed
    principal_components(adata)
    sp.model.SCVI.setup_anndata(adata, batch_key="batch")
    recipe = sp.model.RECIPES["scvi"]
    base = sp.model.SCVI(adata, **{**recipe.model_kwargs, "n_layers": 1, "n_hidden": options.width})
    base.train(options.epochs, plan_kwargs={"n_epochs_kl_warmup": options.epochs // 2}, train_size=1.0, **QUIET)
    truth = adata.obs["cell_type"].astype(str).to_numpy()
    for method in methods:
        start = time.process_time()
        predict = method in BASELINES
        found = baseline(method, base, adata, labelled) if predict else scanvi(base, adata, tree, method, options, seed)
        scores = sp.metrics.hierarchical_label_scores(truth[~labelled], found[~labelled], tree)
        yield method, {**scores.to_series()[SCORES].to_dict(), "cpu_seconds": time.process_time() - start}


def report(table, baseline_of):
    """Print means with 95 % intervals, and paired differences."""
    columns = ["weighted_accuracy_leaf", "weighted_accuracy_1", "accuracy_leaf", "accuracy_1", "f1"]
    for one, rows in table.groupby("method", sort=False):
        print(f"{one:28s}", *(f"{column} {_interval(rows[column])}" for column in columns))
    for one, other in baseline_of.items():
        if not {one, other} <= set(table["method"]):
            continue
        pair = [table[table["method"] == name].set_index("seed")[columns] for name in (one, other)]
        print(
            f"{one} - {other}:", *(f"{column} {_interval((pair[0] - pair[1])[column].dropna())}" for column in columns)
        )


def _interval(values):
    mean = values.mean()
    if len(values) < 2:
        return f"{mean:.3f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help=f"One of {', '.join(PBMC)} (.h5ad); default: simulated.")
    parser.add_argument("--cells", type=int, help="Default: 5,300 simulated cells, 3,000 of a file.")
    parser.add_argument("--effect", type=float, default=0.5, help="How far simulated types are apart.")
    parser.add_argument("--labelled", type=int, default=5, help="Labelled cells of every type.")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--semi-supervised-epochs", type=int, default=6)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--methods", nargs="+", choices=[*METHODS, *BASELINES], default=[*METHODS, *BASELINES])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    options = parser.parse_args()
    options.cells = options.cells or (3000 if options.data else 5300)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    RESULTS.parent.mkdir(exist_ok=True)
    setting = {
        "data": options.data.stem if options.data else f"simulated, effect {options.effect:g}",
        **{name: getattr(options, name) for name in ("cells", "labelled", "epochs", "semi_supervised_epochs", "width")},
    }
    for seed in options.seeds:
        done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=[*setting, "seed", "method"])
        there = done[(done[[*setting, "seed"]] == pd.Series({**setting, "seed": seed})).all(axis=1)]["method"].tolist()
        wanted = [method for method in options.methods if method not in there]
        for method, scores in runs_of_seed(options, seed, wanted):
            row = {**setting, "seed": seed, "method": method, **scores}
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
            pd.DataFrame([row]).to_csv(
                RESULTS, mode="a", header=not RESULTS.exists(), index=False, quoting=csv.QUOTE_NONNUMERIC
            )
    table = pd.read_csv(RESULTS)
    table = table[(table[list(setting)] == pd.Series(setting)).all(axis=1)]
    report(
        table,
        {"hierarchy": "flat", "hierarchy, alternating": "flat, alternating", "hierarchy, groups labelled": "flat"},
    )


if __name__ == "__main__":
    main()
