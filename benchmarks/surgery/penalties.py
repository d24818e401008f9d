r"""How strongly penalties mix batches, and at what price: a curve over the weight of each.

    python benchmarks/surgery/penalties.py --data islets.h5ad --query inDrop_Baron --seeds 0 1 2 3 4
    python benchmarks/surgery/penalties.py --data islets.h5ad --query inDrop_Baron --methods mmd_query --weights \
        1 10 100
    python benchmarks/surgery/penalties.py --seeds 0 1 2 # simulated: strong batch effects, two types in the query alone

Each method trains a reference, maps the query and is scored as in strategies.py: mixing of all cells (EBM), of cells of
types that one batch alone has (must stay low), preservation of each batch's own neighbourhoods, accuracy on known types
and AUROC for unseen ones. A row per run is appended to ``benchmarks/results/penalties_strength.csv``; runs that are
there are not repeated.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
from _common import QUIET, append, quiet, scores, show, split
from strategies import separate_embeddings

import scarches_plus as sp
from scarches_plus.model import RECIPES
from scarches_plus.train import MMD, BatchAdversary

RESULTS = Path(__file__).parent.parent / "results" / "penalties_strength.csv"
N_ANCHORS = 2000


#: Mapping by scvi-tools' defaults, whatever the reference was trained by.
NOT_INHERITED = {
    "penalties": (),
    "plan_kwargs": {"max_kl_weight": 1.0, "n_epochs_kl_warmup": 400},
    "train_kwargs": {**QUIET, "batch_size": None, "gradient_clip_val": None},
}


def recipe_of(name, likelihood):
    recipe = RECIPES[name]
    if recipe.model_kwargs.get("gene_likelihood") in {"mse", "sse"}:
        return recipe
    return replace(recipe, model_kwargs={**recipe.model_kwargs, "gene_likelihood": likelihood})


class Study:
    """A reference, a query, and what was already trained on them with one seed."""

    def __init__(self, options, seed):
        self.options, self.seed = options, seed
        self.reference, self.query = (
            split(options.data, options.query, options.genes) if options.data else simulated(seed)
        )
        self._models = {}

    @cached_property
    def separate(self):
        """Every batch by a model of its own."""
        return separate_embeddings([self.reference, self.query], "scvi", self.seed, self.options.epochs)

    def build(self, recipe, penalties=()):
        """Return the reference model, trained once."""
        key = recipe, penalties
        if key not in self._models:
            scvi.settings.seed = self.seed
            labels = "cell_type" if RECIPES[recipe].model == "SCANVI" else None
            self._models[key] = sp.tl.build_reference(
                self.reference, "batch", labels, recipe=recipe_of(recipe, self.options.likelihood), penalties=penalties,
                max_epochs=self.options.epochs, train_kwargs=QUIET,
            )  # fmt: skip
            sp.train.store_anchors(self._models[key], n_cells=N_ANCHORS)
        return self._models[key]

    def map(self, model, **how):
        scvi.settings.seed = self.seed
        return sp.tl.map_query(self.query, model, max_epochs=self.options.epochs, **{"train_kwargs": QUIET, **how})


def simulated(seed):
    """Three batches far apart; the third has two types that the others lack."""
    only_query = ["type6", "type7"]
    adata = sp.datasets.simulate(
        1800,
        1000,
        8,
        n_batches=3,
        batch_effect=1.0,
        missing_types={"batch0": only_query, "batch1": only_query},
        rng=seed,
    )
    query = (adata.obs["batch"] == "batch2").to_numpy()
    return adata[~query].copy(), adata[query].copy()


def reference_only(recipe, penalty=None):
    """A penalty in the reference; the query is mapped by scvi-tools' defaults."""

    def run(study, weight):
        model = study.build(recipe, () if penalty is None else (replace(penalty, weight=weight),))
        return study.map(model, **NOT_INHERITED)

    return run


def inherited(recipe, penalty=None):
    """A penalty in the reference, by default the recipe's own; the query inherits it."""

    def run(study, weight):
        return study.map(study.build(recipe, None if penalty is None else (replace(penalty, weight=weight),)))

    return run


def squared_error(recipe, **how):
    """A row of Table 1 of scArches, with its own MMD."""

    def run(study, _):
        return study.map(study.build(recipe, None), **how)

    return run


def in_query(penalty, *, also_reference=False):
    """A penalty that pulls the query to the reference's anchors."""

    def run(study, weight):
        model = study.build("scvi", (replace(penalty, weight=weight),) if also_reference else ())
        return study.map(model, penalties=[replace(penalty, weight=weight, anchors=True)])

    return run


def zero_shot(study, weight):
    """The query is embedded by an encoder that is blind to batches."""
    model = study.build("bascvi", (BatchAdversary(weight=weight),))
    study.query.obsm["X_scarches"] = model.embed(study.query)
    return model


METHODS = {
    "cvae": reference_only("cvae"),
    "scvi": reference_only("scvi"),
    "scanvi": reference_only("scanvi"),
    "trvae": inherited("trvae", MMD(on="decoder")),
    "trvae_reference": reference_only("trvae", MMD(on="decoder")),
    "trvae_mse": squared_error("trvae_mse"),
    "trvae_mse_reference": squared_error("trvae_mse", **NOT_INHERITED),
    "trvae_sse": squared_error("trvae_sse"),
    "trvae_sse_reference": squared_error("trvae_sse", **NOT_INHERITED),
    "mmd_z_reference": reference_only("scvi", MMD()),
    "mmd_query": in_query(MMD()),
    "mmd_median_query": in_query(MMD(bandwidths="median")),
    "mmd_decoder_query": in_query(MMD(on="decoder", bandwidths="median")),
    "mmd_both": in_query(MMD(), also_reference=True),
    "adversary_reference": reference_only("scvi", BatchAdversary(layers_read=("encoder",))),
    "bascvi": zero_shot,
}
PLAIN = {"cvae", "scvi", "scanvi", *(f"trvae_{kind}{where}" for kind in ("mse", "sse") for where in ("", "_reference"))}


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
    parser.add_argument(
        "--data", type=Path, help="An .h5ad file with obs columns batch and cell_type; default: simulated."
    )
    parser.add_argument("--query", nargs="+", help="Batches of --data to map onto the others.")
    parser.add_argument("--genes", type=int, help="Keep so many genes, those that vary most in the reference.")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--weights", nargs="+", type=float, default=[1.0, 10.0, 100.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--likelihood", default="nb")
    options = parser.parse_args()
    quiet()
    RESULTS.parent.mkdir(exist_ok=True)
    done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame()
    data = options.data.stem if options.data else "simulated"
    for seed in options.seeds:
        study = Study(options, seed)
        for method in options.methods:
            for weight in [0.0] if method in PLAIN else options.weights:
                key = {
                    "data": data,
                    "method": method,
                    "weight": weight,
                    "seed": seed,
                    "epochs": options.epochs,
                }
                if len(done) and (done[list(key)] == pd.Series(key)).all(axis=1).any():
                    continue
                start = time.perf_counter()
                mapped = METHODS[method](study, weight)
                seconds = time.perf_counter() - start
                row = {**key, **score(study.reference, study.query, mapped, study.separate), "seconds": seconds}
                append(RESULTS, row)
    table = pd.read_csv(RESULTS)
    table = table[(table["data"] == data) & (table["epochs"] == options.epochs)]
    grouped = table.drop(columns=["data", "seed", "epochs"]).groupby(["method", "weight"])
    show(grouped.mean(), f"{data}: mean over seeds")
    show(grouped.std(), "standard deviation over seeds")


if __name__ == "__main__":
    main()
