"""CLCVAE's claims at equal budgets: what a query's training does to the reference, and to what is new in the query.

    python benchmarks/surgery/continual.py --data islets.h5ad --query inDrop_Baron --seeds 0 1 2 3 4
    python benchmarks/surgery/continual.py --seeds 0 1 2          # simulated: two types in the query alone
    python benchmarks/surgery/continual.py --sequence 5 --seeds 0

All ways start from the same reference and train for the same epochs: surgery (condition), fine-tuning of all weights,
EWC at several weights, latent replay, replay of cells. Scores as in strategies.py, drift of the reference (displacement
over spread, neighbours kept, labels of neighbours kept, ELBO), and the separation of types that the reference lacks
from all others (silhouette). With ``--sequence`` simulated queries are mapped one after another, and the drift since
the first reference is printed after each.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
from _common import QUIET, quiet, scores, show, split
from penalties import simulated
from sklearn.metrics import silhouette_samples

import scarches_plus as sp
from scarches_plus.model import mean_elbo
from scarches_plus.train import EWC, MMD, CellReplay, LatentReplay

WEIGHTS = (1.0, 10.0, 156.0, 1e3, 1e4, 1e5)


def ways(reference):
    return {
        "surgery": ("condition", ()),
        "fine-tuning": ("all", ()),
        **{f"EWC {weight:g}": ("all", (EWC(weight=weight),)) for weight in WEIGHTS},
        "latent replay 1": ("all", (LatentReplay(weight=1.0),)),
        "latent replay 10": ("all", (LatentReplay(weight=10.0),)),
        "cell replay 1": ("all", (CellReplay(cells=reference, weight=1.0),)),
        "EWC 156 + MMD 10": ("all", (EWC(weight=156.0), MMD(weight=10.0, bandwidths="median", anchors=True))),
    }


def build(reference, seed, options):
    scvi.settings.seed = seed
    model = sp.tl.build_reference(
        reference, "batch", "cell_type", recipe=options.recipe, max_epochs=options.epochs, train_kwargs=QUIET
    )
    sp.train.estimate_importance(model)
    sp.train.store_anchors(model)
    return model


def separation(query, z_query, known):
    """Mean silhouette of the cells of unseen types, all other query cells being one group."""
    labels = query.obs["cell_type"].astype(str)
    groups = labels.where(~labels.isin(known), "known")
    if groups.nunique() < 2 or (groups == "known").all():
        return np.nan
    return silhouette_samples(z_query, groups)[(groups != "known").to_numpy()].mean()


def compare(options):
    rows = []
    for seed in options.seeds:
        reference, query = split(options.data, options.query, options.genes) if options.data else simulated(seed)
        model = build(reference, seed, options)
        known = reference.obs["cell_type"].astype(str).unique()
        for name, (strategy, penalties) in ways(reference).items():
            if options.ways and name not in options.ways:
                continue
            scvi.settings.seed = seed
            start = time.perf_counter()
            mapped = sp.tl.map_query(
                query, model, strategy=strategy, penalties=penalties, max_epochs=options.epochs, train_kwargs=QUIET
            )
            seconds = time.perf_counter() - start
            z_reference, z_query = mapped.embed(reference), query.obsm["X_scarches"]
            drift = sp.metrics.reference_drift(reference.obsm["X_scarches"], z_reference, reference.obs["cell_type"])
            rows.append(
                {
                    "way": name,
                    "seed": seed,
                    **scores(reference, query, z_reference, z_query),
                    "separation": separation(query, z_query, known),
                    "drift": drift.relative_rmsd,
                    "neighbors_kept": drift.neighbor_preservation,
                    "labels_kept": drift.label_agreement,
                    "elbo_reference": mean_elbo(mapped, reference),
                    "elbo_query": mean_elbo(mapped, query),
                    "seconds": seconds,
                }
            )
            print({k: round(float(v), 4) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    grouped = pd.DataFrame(rows).drop(columns="seed").groupby("way", sort=False)
    show(grouped.mean(), f"{options.data.name if options.data else 'simulated'}: mean of {len(options.seeds)} seeds")
    if len(options.seeds) > 1:
        show(grouped.std(), "standard deviation over seeds")


def sequence(options):
    """Map simulated queries one after another."""
    adata = sp.datasets.simulate(
        [1500, *[500] * options.sequence], 1000, 8, n_batches=options.sequence + 1, batch_effect=0.4, rng=0
    )
    first = (adata.obs["batch"] == "batch0").to_numpy()
    rows = []
    for seed in options.seeds:
        reference = adata[first].copy()
        reference.obs["batch"] = ["batch0a", "batch0b"] * (reference.n_obs // 2)
        original = build(reference, seed, options)
        for name, strategy, penalties in (
            ("surgery", "condition", ()),
            ("EWC 156", "all", (EWC(weight=156.0),)),
            ("EWC 1e4", "all", (EWC(weight=1e4),)),
            ("latent replay 10", "all", (LatentReplay(weight=10.0),)),
            ("all weights", "all", ()),
        ):
            model = original
            for number in range(1, options.sequence + 1):
                query = adata[adata.obs["batch"] == f"batch{number}"].copy()
                scvi.settings.seed = seed
                model = sp.tl.map_query(
                    query, model, strategy=strategy, penalties=penalties, max_epochs=options.epochs,
                    train_kwargs=QUIET, drift_cells=reference,
                )  # fmt: skip
                drift = model.state.lineage[-1]["drift"]
                kept = {k.removeprefix("total_"): v for k, v in drift.items() if k.startswith("total_")}
                rows.append({"way": name, "query": number, "seed": seed, **kept})
    table = pd.DataFrame(rows).groupby(["way", "query"], sort=False).mean().drop(columns="seed")
    show(table, f"{options.sequence} simulated queries in sequence: drift since the first reference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--query", nargs="+")
    parser.add_argument("--genes", type=int, help="Keep so many genes, those that vary most in the reference.")
    parser.add_argument("--sequence", type=int, default=0)
    parser.add_argument("--ways", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--recipe", default="scvi")
    options = parser.parse_args()
    quiet()
    if options.sequence:
        sequence(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
