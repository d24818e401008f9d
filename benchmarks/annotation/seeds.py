"""Seeds from few detected markers: scANVI's classifier against nearest neighbours, on subsets that hardly differ.

    python benchmarks/annotation/seeds.py --seeds 0 1 2 3 4

The experiment of Fig. 6 of scANVI (Xu et al. 2021) on simulated cells, since no public data with sorted T cells are at
hand: four subsets that part by small effects on many genes, and three marker genes for each (the paper has 12 in all),
detected in about one cell in six of its own subset and in one in fifty of the others; markers of one subset speak
against its neighbours. 50 seeds per subset train scANVI (the recipe's joint schedule, and the paper's for one data set:
alternating, one epoch of a classifier of 2 x 256). Scored on all cells but the seeds: weighted accuracy (mean over
subsets). Baselines on the same seeds: k nearest seeds (k = 10) in scVI's latent space, logistic regression on log
expression (CellTypist's model), and the highest signature score. ``ceiling`` is a vote of neighbours in scVI's space
who know all labels.

A row per run is appended to ``benchmarks/results/annotation_seeds.csv``; runs that are there are not repeated.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scvi
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

import scarches_plus as sp

sys.path.append(str(Path(__file__).parents[1] / "surgery"))
from _common import QUIET, interval, quiet, show

RESULTS = Path(__file__).parents[1] / "results" / "annotation_seeds.csv"
SETTING = ("effect", "cells", "genes", "epochs", "semi_epochs", "n_seeds")
SUBSETS = ["type0", "type1", "type2", "type3"]
DETECTED, STRAY = 0.18, 0.02  # expected counts of a marker at mean depth


def simulated(seed, effect, n_cells, n_genes):
    adata = sp.datasets.simulate(n_cells, n_genes, 4, type_effect=effect, batch_effect=0.1, rng=seed)
    rng = np.random.default_rng(seed)
    names = [f"marker{i}_{subset}" for subset in SUBSETS for i in range(3)]
    own = np.array([[name.endswith(subset) for name in names] for subset in adata.obs["cell_type"]])
    depth = adata.obs["depth"].to_numpy()[:, None] / 1000
    counts = rng.poisson(np.where(own, DETECTED, STRAY) * depth).astype(np.float32)
    merged = anndata.AnnData(sparse.hstack([adata.X, counts]).tocsr(), adata.obs.copy())
    merged.var_names = pd.Index([*adata.var_names, *names])
    markers = {
        subset: {
            "positive": [name for name in names if name.endswith(subset)],
            "negative": [f"marker0_{other}" for other in SUBSETS if other != subset],
        }
        for subset in SUBSETS
    }
    return merged, markers


def paper_schedule():
    return replace(
        sp.model.RECIPES["scanvi_alternating"],
        semi_supervised_model_kwargs={"classifier_parameters": {"n_layers": 2, "n_hidden": 256}},
        semi_supervised_kwargs={"plan_kwargs": {"schedule": "alternating", "classifier_epochs": 1}},
    )


def predictions(adata, seeds, labels, options, seed):
    """Yield the name of each method and its label of every cell."""

    scores = adata.obsm["seed_label_scores"]
    yield "signature", np.array(SUBSETS)[scores.argmax(axis=1)]
    log = sc.pp.log1p(sc.pp.normalize_total(adata, target_sum=1e4, copy=True), copy=True).X
    yield "logistic regression", LogisticRegression(max_iter=1000).fit(log[seeds], labels[seeds]).predict(log)
    scvi.settings.seed = seed
    base = sp.tl.build_reference(adata, "batch", "seed_label", max_epochs=options.epochs, train_kwargs=QUIET)
    z = adata.obsm["X_scarches"].copy()
    yield "kNN on scVI", KNeighborsClassifier(10).fit(z[seeds], labels[seeds]).predict(z)
    truth = adata.obs["cell_type"].astype(str).to_numpy()
    neighbours = KNeighborsClassifier(11).fit(z, truth).kneighbors(return_distance=False, n_neighbors=10)
    yield "ceiling", np.array([pd.Series(row).mode()[0] for row in truth[neighbours]])
    for name, recipe in {"scANVI": sp.model.RECIPES["scanvi"], "scANVI, paper's schedule": paper_schedule()}.items():
        scvi.settings.seed = seed
        model = sp.model.SCANVI.from_scvi_model(base, "Unknown", **recipe.semi_supervised_model_kwargs)
        model.train(max_epochs=options.semi_epochs, **recipe.semi_supervised_kwargs, **QUIET)
        yield name, model.predict()


def run(seed, options):
    adata, markers = simulated(seed, options.effect, options.cells, options.genes)
    sp.pp.seed_labels(adata, markers, options.n_seeds, scores=True)
    labels, truth = (adata.obs[key].astype(str).to_numpy() for key in ("seed_label", "cell_type"))
    seeds = labels != "Unknown"
    setting = {name: getattr(options, name) for name in SETTING} | {"seed": seed}
    rows = [{**setting, "method": "seeds themselves", "accuracy": balanced_accuracy_score(truth[seeds], labels[seeds])}]
    for method, predicted in predictions(adata, seeds, labels, options, seed):
        score = balanced_accuracy_score(truth[~seeds], predicted[~seeds])
        rows.append({**setting, "method": method, "accuracy": score})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--effect", type=float, default=0.18, help="of a branch of the tree of subsets, on log expression"
    )
    parser.add_argument("--cells", type=int, default=1500)
    parser.add_argument("--genes", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--semi-epochs", type=int, default=20, help="of scANVI, after scVI's")
    parser.add_argument("--n-seeds", type=int, default=50)
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame()
    for seed in options.seeds:
        wanted = {name: getattr(options, name) for name in SETTING} | {"seed": seed}
        if len(done) and (done[list(wanted)] == pd.Series(wanted)).all(axis=1).any():
            continue
        done = pd.concat([done, run(seed, options)], ignore_index=True)
        RESULTS.parent.mkdir(exist_ok=True)
        done.to_csv(RESULTS, index=False)
    here = (done[list(SETTING)] == [getattr(options, name) for name in SETTING]).all(axis=1)
    here = done[here & done["seed"].isin(options.seeds)]
    table = here.pivot_table("accuracy", "seed", "method", sort=False)
    rows = {name: interval(table[name]) + interval(table[name] - table["kNN on scVI"]) for name in table}
    columns = ["accuracy", "low", "high", "minus kNN", "low ", "high "]
    show(pd.DataFrame(rows, index=columns).T, f"weighted accuracy, {len(table)} seeds, 95 % intervals")


if __name__ == "__main__":
    main()
