"""Classes without labels (n_unobserved) of scANVI: are cells of types that the labels lack less certain?

    python benchmarks/annotation/unobserved.py --seeds 0 1 2 3 4

Simulated: eight types, two batches, one labelled; of the other two types (12 % of all cells) no cell has a label. Both
batches train together, as in the paper (Xu et al. 2021, "Maximum Posterior Probability", N + 1 classes). Scores of the
unlabelled cells: AUROC of 1 - confidence (maximum posterior over the labels) for the unseen types, share of unseen and
of known cells that are called unknown, and accuracy on the known ones.

A row per run is appended to ``benchmarks/results/annotation_unobserved.csv``; runs that are there are not repeated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
import torch
from sklearn.metrics import roc_auc_score

import scarches_plus as sp

sys.path.append(str(Path(__file__).parents[1] / "surgery"))
from _common import QUIET, interval, quiet, show

RESULTS = Path(__file__).parents[1] / "results" / "annotation_unobserved.csv"
UNSEEN = ["type3", "type6"]


def run(seed, options):
    adata = sp.datasets.simulate(options.cells, options.genes, 8, batch_effect=0.2, rng=seed)
    truth = adata.obs["cell_type"].astype(str).to_numpy()
    unseen = np.isin(truth, UNSEEN)
    query = (adata.obs["batch"] == "batch1").to_numpy()
    adata = adata[query | ~unseen].copy()
    truth, unseen, query = (values[query | ~unseen] for values in (truth, unseen, query))
    adata.obs["given"] = np.where(query, "Unknown", truth)
    scvi.settings.seed = seed
    base = sp.tl.build_reference(adata, "batch", "given", max_epochs=options.epochs, train_kwargs=QUIET)
    for n_unobserved in options.n_unobserved:
        scvi.settings.seed = seed
        model = sp.model.SCANVI.from_scvi_model(base, "Unknown", n_unobserved=n_unobserved)
        plan = {"schedule": options.schedule, "n_epochs_kl_warmup": options.warmup}
        plan |= (
            {"classifier_epochs": 10} if options.schedule == "alternating" else {"classification_ratio": options.ratio}
        )
        model.train(max_epochs=options.semi_epochs, n_samples_per_label=100, plan_kwargs=plan, **QUIET)
        confidence, predicted = model.confidence().to_numpy()[query], model.predict()[query]
        rejected, known = predicted == "Unknown", ~unseen[query]
        yield {
            "n_unobserved": n_unobserved,
            "auroc": roc_auc_score(~known, 1 - confidence),
            "unknown_unseen": rejected[~known].mean(),
            "unknown_known": rejected[known].mean(),
            "accuracy": (predicted == truth[query])[known].mean(),
        }


SETTING = ("cells", "genes", "epochs", "semi_epochs", "schedule", "warmup", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--n-unobserved", type=int, nargs="+", default=[0, 1, 3])
    parser.add_argument("--cells", type=int, default=1600)
    parser.add_argument("--genes", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--semi-epochs", type=int, default=20)
    parser.add_argument("--schedule", choices=["joint", "alternating"], default="joint")
    parser.add_argument("--warmup", type=int, default=400, help="epochs until the prior counts in full")
    parser.add_argument("--ratio", type=float, default=50, help="weight of the classification loss")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    setting = {name: getattr(options, name) for name in SETTING}
    done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=[*SETTING, "seed"])
    for seed in options.seeds:
        here = (done[list(SETTING)] == list(setting.values())).all(axis=1)
        if (here & (done["seed"] == seed)).any():
            continue
        rows = [{**setting, "seed": seed, **row} for row in run(seed, options)]
        done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
        RESULTS.parent.mkdir(exist_ok=True)
        done.to_csv(RESULTS, index=False)
    here = done[(done[list(SETTING)] == list(setting.values())).all(axis=1) & done["seed"].isin(options.seeds)]
    scores = ["auroc", "unknown_unseen", "unknown_known", "accuracy"]
    table = here.groupby("n_unobserved")[scores].mean()
    by_seed = here.pivot_table("auroc", "seed", "n_unobserved")
    table["auroc 95 %"] = ["{1:.3f} to {2:.3f}".format(*interval(by_seed[n])) for n in table.index]
    show(table, f"{by_seed.shape[0]} seeds, {setting}")


if __name__ == "__main__":
    main()
