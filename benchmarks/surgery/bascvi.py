r"""BA-scVI's options one at a time: cells of held-out batches are embedded without training.

    python benchmarks/surgery/bascvi.py --data islets.h5ad --query inDrop_Baron --seeds 0 1 2
    python benchmarks/surgery/bascvi.py --seeds 0 1 2  # simulated: batches of very different depth

Each variant trains a reference on the other batches (at most ``--cells`` of each) and embeds the query: accuracy of
transferred labels on known types (k = 50), AUROC of their uncertainty for unseen types, mixing of batches over all
cells (EBM) and over cells of types that the query alone has (must stay low), and KNI. Variants whose encoder sees the
batch map the query by surgery; "mapped by ..." does so with ``bascvi``, whose adversary the query inherits or goes
without, and embeds the reference again. A row per run is appended to ``benchmarks/results/bascvi.csv``; runs that are
there are not repeated. The last table holds paired differences from ``--against`` with their 95 % intervals over seeds.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
from _common import QUIET, append, interval, quiet, scores, show, split

import scarches_plus as sp
from scarches_plus.model import RECIPES

RESULTS = Path(__file__).parent.parent / "results" / "bascvi.csv"
SCORES = ("accuracy", "ebm_k15", "ebm_unseen", "auroc", "kni")


def adversary(**options):
    """Change the recipe's discriminators."""
    return lambda recipe: replace(recipe, penalties=tuple(replace(one, **options) for one in recipe.penalties))


def network(**options):
    """Change the recipe's network."""
    return lambda recipe: replace(recipe, model_kwargs={**recipe.model_kwargs, **options})


def plan(**options):
    """Change the recipe's training plan."""
    return lambda recipe: replace(recipe, plan_kwargs={**recipe.plan_kwargs, **options})


def early_stopping(patience):
    options = {"early_stopping": True, "early_stopping_patience": patience}
    return lambda recipe: replace(recipe, train_kwargs={**recipe.train_kwargs, **options})


CHANGES = {
    "sum": adversary(reduction="sum"),
    "sum, weight 10": adversary(reduction="sum", weight=10.0),
    "Adam of the paper": adversary(eps=0.01, weight_decay=1e-5),
    "normalised input": network(normalize_encoder_input=True),
    "early stopping": early_stopping(5),
    "batch norm": network(use_batch_norm="both", use_layer_norm="none"),
    "library learned": network(use_observed_lib_size=False),
    "unbounded": adversary(objective="negative_cross_entropy"),
    "lr 5e-5": plan(lr=5e-5),
    "eps 0.01": plan(eps=0.01),
    "slow discriminators": adversary(lr=1e-4),
    "discriminators of the code": adversary(
        lr=1e-4, weight_decay=1e-5, n_hidden=512, normalize_logits=True, objective="negative_cross_entropy", weight=2.0
    ),
    "no adversary": lambda recipe: replace(recipe, penalties=()),
}
#: How ``bascvi`` is mapped: strategy, and penalties (``None``: what the query inherits).
MAPPED = {
    f"mapped by {strategy}{words}": (strategy, penalties)
    for strategy in ("input_layers", "all")
    for words, penalties in (("", None), (", no adversary", ()))
}


def recipe_of(variant):
    """Return a recipe by name, or ``bascvi`` with a change (several with " + ")."""
    if variant in RECIPES:
        return RECIPES[variant]
    recipe = RECIPES["bascvi"]
    for change in variant.split(" + "):
        recipe = CHANGES[change](recipe)
    return recipe


def simulated(seed):
    """Four batches of very different depth; the last and deepest is the query, with a type of its own."""
    missing = {f"batch{i}": ["type7"] for i in range(3)}
    adata = sp.datasets.simulate(
        2400, 1000, 8, n_batches=4, batch_effect=0.3, depth_effect=1.0, missing_types=missing, rng=seed
    )
    query = (adata.obs["batch"] == "batch3").to_numpy()
    return adata[~query].copy(), adata[query].copy()


def at_most(adata, n_cells, rng):
    """Return at most so many cells of each batch."""
    kept = [rng.permutation(np.flatnonzero(adata.obs["batch"] == one))[:n_cells] for one in adata.obs["batch"].unique()]
    return adata[np.sort(np.concatenate(kept))].copy()


def train(recipe, reference, options, seed):
    """Return a reference model and the seconds of CPU that it took."""
    scvi.settings.seed = seed
    width = {"n_hidden": options.hidden} if options.hidden else None
    start = time.process_time()
    model = sp.tl.build_reference(
        reference, "batch", recipe=recipe, max_epochs=options.epochs, model_kwargs=width, train_kwargs=QUIET
    )
    return model, time.process_time() - start


def run(variant, model, reference, query, options, seed):
    scvi.settings.seed = seed
    how = {"max_epochs": options.epochs, "train_kwargs": QUIET}
    if variant in MAPPED:
        strategy, penalties = MAPPED[variant]
        lr = {"lr": RECIPES["bascvi"].plan_kwargs["lr"]}
        model = sp.tl.map_query(query, model, strategy=strategy, penalties=penalties, plan_kwargs=lr, **how)
    elif recipe_of(variant).model_kwargs["encode_covariates"]:
        sp.tl.map_query(query, model, **how)
    else:
        query.obsm["X_scarches"] = model.embed(query)
    reference.obsm["X_scarches"] = model.embed(reference)
    return score(reference, query)


def score(reference, query):
    joint = np.concatenate([reference.obsm["X_scarches"], query.obsm["X_scarches"]])
    batches, labels = (
        np.concatenate([part.obs[key].astype(str) for part in (reference, query)]) for key in ("batch", "cell_type")
    )
    unseen = ~np.isin(labels, reference.obs["cell_type"].astype(str))
    entropy = sp.metrics.batch_entropy(joint, batches, k=15, normalize=True)
    kni = sp.metrics.kni(joint, batches, labels)
    return {
        **scores(reference, query, reference.obsm["X_scarches"], query.obsm["X_scarches"]),
        "ebm_unseen": entropy[unseen].mean() if unseen.any() else np.nan,
        "kni": float(getattr(kni, "score", kni)),
    }


def summarise(data, options):
    """Print means, and paired differences from one of the variants."""
    table = pd.read_csv(RESULTS)
    same = (table["data"] == data) & (table["epochs"] == options.epochs) & (table["hidden"] == options.hidden)
    table = table[same].set_index(["variant", "seed"])
    show(table.groupby("variant", sort=False)[[*SCORES, "trained_epochs", "seconds"]].mean(), f"{data}: means")
    base = table.loc[options.against]
    for variant in table.index.unique("variant"):
        rows = table.loc[variant]
        seeds = rows.index.intersection(base.index)
        if variant == options.against or len(seeds) < 2:
            continue
        found = []
        for name in SCORES:
            mean, low, _ = interval((rows.loc[seeds, name] - base.loc[seeds, name]).to_numpy())
            found.append(f"{name} {mean:+.3f} ± {mean - low:.3f}")
        print(f"{variant} (n={len(seeds)}): {', '.join(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="An .h5ad file with obs columns batch and cell_type.")
    parser.add_argument("--query", nargs="+", help="Batches of --data to embed by a reference of the others.")
    parser.add_argument("--genes", type=int, help="Keep so many genes, those that vary most in the reference.")
    parser.add_argument("--cells", type=int, default=500, help="Most cells of a batch.")
    parser.add_argument("--hidden", type=int, default=0, help="Width of the networks; default: the recipe's 512.")
    parser.add_argument("--variants", nargs="+", default=["bascvi", *CHANGES, "bascvi_paper", "bascvi_code"])
    parser.add_argument("--against", default="bascvi", help="Variant that the others are compared with.")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args()
    quiet()
    RESULTS.parent.mkdir(exist_ok=True)
    data = options.data.stem if options.data else "simulated"
    for seed in options.seeds:
        rng = np.random.default_rng(seed)
        parts = split(options.data, options.query, options.genes) if options.data else simulated(seed)
        reference, query = (at_most(part, options.cells, rng) for part in parts)
        models = {}
        for variant in options.variants:
            key = {"data": data, "variant": variant, "seed": seed, "epochs": options.epochs, "hidden": options.hidden}
            done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame()
            if len(done) and (done[list(key)] == pd.Series(key)).all(axis=1).any():
                continue
            recipe = "bascvi" if variant in MAPPED else variant
            if recipe not in models:
                models[recipe] = train(recipe_of(recipe), reference, options, seed)
            model, seconds = models[recipe]
            row = {**key, **run(variant, model, reference, query, options, seed)}
            append(RESULTS, {**row, "trained_epochs": len(model.history["elbo_train"]), "seconds": seconds})
    summarise(data, options)


if __name__ == "__main__":
    main()
