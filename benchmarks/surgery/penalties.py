"""How strongly penalties mix batches, and at what price: a curve over the weight of each.

    python benchmarks/surgery/penalties.py --data islets.h5ad --query inDrop_Baron --seeds 0 1 2 3 4
    python benchmarks/surgery/penalties.py --data islets.h5ad --query inDrop_Baron --methods mmd_query --weights 1 10 100

Each method trains a reference, maps the query and is scored as in strategies.py: mixing of all cells (EBM), of cells of types
that one batch alone has (must stay low), preservation of each batch's own neighbourhoods, accuracy on known types and AUROC for
unseen ones. A row per run is appended to ``benchmarks/results/penalties_strength.csv``; runs that are there are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
from _common import QUIET, quiet, scores, show, split
from strategies import separate_embeddings

import scarches_plus as sp
from scarches_plus.model import RECIPES
from scarches_plus.train import MMD, BatchAdversary

RESULTS = Path(__file__).parent.parent / "results" / "penalties_strength.csv"
N_ANCHORS = 2000


def recipe_of(name, likelihood):
    recipe = RECIPES[name]
    return replace(recipe, model_kwargs={**recipe.model_kwargs, "gene_likelihood": likelihood})


def reference_only(recipe, penalty=None):
    """A penalty in the reference; the query is mapped as always."""

    def run(reference, query, weight, options):
        penalties = None if penalty is None else (replace(penalty, weight=weight),)
        model = sp.tl.build_reference(
            reference, "batch", labels_for(recipe), recipe=recipe_of(recipe, options.likelihood), penalties=penalties,
            max_epochs=options.epochs, train_kwargs=QUIET,
        )  # fmt: skip
        return model, sp.tl.map_query(query, model, max_epochs=options.epochs, train_kwargs=QUIET)

    return run


def in_query(penalty, *, strategy="condition", recipe="scvi", also_reference=False):
    """A penalty that pulls the query to the reference's anchors."""

    def run(reference, query, weight, options):
        penalties = (replace(penalty, weight=weight),) if also_reference else ()
        model = sp.tl.build_reference(
            reference, "batch", labels_for(recipe), recipe=recipe_of(recipe, options.likelihood), penalties=penalties,
            max_epochs=options.epochs, train_kwargs=QUIET,
        )  # fmt: skip
        sp.train.store_anchors(model, n_cells=N_ANCHORS)
        pull = replace(penalty, weight=weight, anchors=True)
        return model, sp.tl.map_query(
            query, model, strategy=strategy, penalties=[pull], max_epochs=options.epochs, train_kwargs=QUIET
        )

    return run


def zero_shot(reference, query, weight, options):
    model = sp.tl.build_reference(
        reference, "batch", recipe=recipe_of("bascvi", options.likelihood), penalties=(BatchAdversary(weight=weight),),
        max_epochs=min(options.epochs, 100), train_kwargs=QUIET,
    )  # fmt: skip
    query.obsm["X_scarches"] = model.embed(query)
    return model, model


def labels_for(recipe):
    return "cell_type" if RECIPES[recipe].model == "SCANVI" else None


METHODS = {
    "cvae": reference_only("cvae"),
    "scvi": reference_only("scvi"),
    "scanvi": reference_only("scanvi"),
    "trvae": reference_only("trvae", MMD(on="decoder")),
    "mmd_z_reference": reference_only("scvi", MMD()),
    "mmd_query": in_query(MMD()),
    "mmd_median_query": in_query(MMD(bandwidths="median")),
    "mmd_decoder_query": in_query(MMD(on="decoder", bandwidths="median")),
    "mmd_both": in_query(MMD(), also_reference=True),
    "adversary_reference": reference_only("scvi", BatchAdversary(layers_read=("encoder",))),
    "bascvi": zero_shot,
}
PLAIN = {"cvae", "scvi", "scanvi"}


def one_batch_types(reference, query):
    """Cells of types that occur in the query alone."""
    known = set(reference.obs["cell_type"].astype(str))
    return np.concatenate([np.zeros(reference.n_obs, bool), ~query.obs["cell_type"].astype(str).isin(known)])


def score(reference, query, mapped, separate):
    z_reference, z_query = mapped.embed(reference), query.obsm["X_scarches"]
    joint = np.concatenate([z_reference, z_query])
    batches = np.concatenate([reference.obs["batch"].astype(str), query.obs["batch"].astype(str)])
    unseen = one_batch_types(reference, query)
    return {
        **scores(reference, query, z_reference, z_query),
        "ebm_unseen": sp.metrics.batch_entropy(joint, batches, k=15, normalize=True)[unseen].mean()
        if unseen.any()
        else np.nan,
        "neighbor_preservation": sp.metrics.neighbor_preservation(joint, separate, batches, k=15),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--query", nargs="+", required=True)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--weights", nargs="+", type=float, default=[1.0, 10.0, 100.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--likelihood", default="nb")
    options = parser.parse_args()
    quiet()
    RESULTS.parent.mkdir(exist_ok=True)
    done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame()
    for seed in options.seeds:
        reference, query = split(options.data, options.query)
        separate = None
        for method in options.methods:
            for weight in [0.0] if method in PLAIN else options.weights:
                key = {
                    "data": options.data.stem,
                    "method": method,
                    "weight": weight,
                    "seed": seed,
                    "epochs": options.epochs,
                }
                if len(done) and (done[list(key)] == pd.Series(key)).all(axis=1).any():
                    continue
                separate = separate or separate_embeddings([reference, query], "scvi", seed, options.epochs)
                scvi.settings.seed = seed
                start = time.perf_counter()
                _, mapped = METHODS[method](reference, query, weight, options)
                row = {**key, **score(reference, query, mapped, separate), "seconds": time.perf_counter() - start}
                print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
                new = not RESULTS.exists()
                with RESULTS.open("a", newline="") as file:
                    writer = csv.DictWriter(file, row)
                    if new:
                        writer.writeheader()
                    writer.writerow(row)
    table = pd.read_csv(RESULTS)
    table = table[(table["data"] == options.data.stem) & (table["epochs"] == options.epochs)]
    grouped = table.drop(columns=["data", "seed", "epochs"]).groupby(["method", "weight"])
    show(grouped.mean(), f"{options.data.name}: mean over seeds")
    show(grouped.std(), "standard deviation over seeds")


if __name__ == "__main__":
    main()
