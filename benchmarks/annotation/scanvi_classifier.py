"""Does scANVI's own classifier find the labels that a vote of nearest reference cells finds?

    python benchmarks/annotation/scanvi_classifier.py --data-dir data --seeds 0 1 2

``predict`` beside sp.tl.transfer_labels (k = 50) in the same latent space: on a fifth of the reference, held out,
and on a query mapped by each strategy (reference embedded again where it moved). ``before`` is semi-supervised training
as scvi-tools has it, ``after`` the same model with ``fit_classifier`` and, where all weights train,
``LabelReplay`` from a summary of labels; ``elbo`` and ``alternating`` are references of labels_in_elbo=True with the
fit, and of Algorithm 2, mapped by "condition". Scored on known types: accuracy, macro F1, recall of the type
that fares worst beside the vote; AUROC of 1 - confidence for types that the reference lacks; entropy of batch mixing of
reference and query (k = 50). Small references are random subsets. A row per run is appended to
``benchmarks/results/scanvi_classifier.csv``; runs that are there are not repeated. Differences are paired over seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scvi
import torch
from sklearn.metrics import f1_score, roc_auc_score

import scarches_plus as sp

sys.path.append(str(Path(__file__).parent.parent / "surgery"))
from _common import QUIET, interval, quiet, with_embedding

RESULTS = Path(__file__).parent.parent / "results" / "scanvi_classifier.csv"
DONORS, STIMULATED = ["donor_101", "donor_107", "donor_1039"], ["kang_ctrl", "kang_stim"]
#: Name: file (none: simulated), batches of the query, cells of the reference that train, types withheld from it.
SETS = {
    "islets": ("islets_3tech_plus.h5ad", ["inDrop_Baron"], None, []),
    "islets, C1": ("demo_islets.h5ad", ["FluidigmC1_Lawlor"], 400, []),
    "PBMC": ("pbmc_6batch.h5ad", STIMULATED, 600, []),
    "PBMC, 300 cells": ("pbmc_6batch.h5ad", STIMULATED, 300, []),
    "donors": ("kang_ctrl_8donors.h5ad", DONORS, 600, []),
    "donors, 400 cells, no B": ("kang_ctrl_8donors.h5ad", DONORS, 400, ["B cells"]),
    "simulated, 200 cells": (None, ["batch2"], 200, []),
    # not looked at while options were chosen
    "PBMC stimulated": ("pbmc_3batch.h5ad", ["kang_stim"], 400, []),
    "mouse islets": ("baron_mouse.h5ad", ["mouse1"], None, []),
}
SEMI_EPOCHS = 20


def read(name, data_dir, seed, n_query):
    """Return cells that train the reference, cells held out of it, and the query."""
    file, batches, n_reference, withheld = SETS[name]
    rng = np.random.default_rng(seed)
    if file is None:
        effects = {"batch_effect": 0.4, "type_effect": 0.35}
        adata = sp.datasets.simulate(1500, 500, 8, n_batches=3, rng=seed, **effects)
    else:
        adata = anndata.read_h5ad(data_dir / file)
    adata.obs = adata.obs[["batch", "cell_type"]].astype(str)
    adata = adata[(adata.obs["cell_type"] != "Unknown").to_numpy()].copy()
    is_query = adata.obs["batch"].isin(batches).to_numpy()
    reference = adata[~is_query & ~adata.obs["cell_type"].isin(withheld).to_numpy()]
    reference, query = some(reference, n_reference and n_reference / 0.8, rng), some(adata[is_query], n_query, rng)
    if adata.n_vars > 1500:
        normalized = sc.pp.log1p(sc.pp.normalize_total(reference, target_sum=1e4, copy=True), copy=True)
        sc.pp.highly_variable_genes(normalized, n_top_genes=1000)
        chosen = normalized.var["highly_variable"].to_numpy()
        reference, query = reference[:, chosen].copy(), query[:, chosen].copy()
    reference, query = (cells[np.asarray(cells.X.sum(1)).ravel() > 0].copy() for cells in (reference, query))
    held = rng.random(reference.n_obs) < 0.2
    return reference[~held].copy(), reference[held].copy(), query


def some(cells, n, rng):
    n = cells.n_obs if n is None else min(int(n), cells.n_obs)
    return cells[np.sort(rng.choice(cells.n_obs, n, replace=False))].copy()


def scores(model, reference, cells):
    ref, mapped = (with_embedding(one, model.embed(one)) for one in (reference, cells))
    sp.tl.transfer_labels(mapped, ref, "cell_type", use_rep="X", unknown_above=None)
    truth, vote = (mapped.obs[key].astype(str).to_numpy() for key in ("cell_type", "cell_type_pred"))
    # a query model has the cells, and their types may be no labels of it
    soft = model.predict(None if model.surgery else cells, soft=True)
    own = soft.columns.to_numpy()[soft.to_numpy().argmax(axis=1)].astype(str)
    known = np.isin(truth, reference.obs["cell_type"])
    types = np.unique(truth[known])
    recall = {
        name: [(said[truth == one] == one).mean() for one in types] for name, said in (("own", own), ("vote", vote))
    }
    joint = np.concatenate([ref.obsm["X"], mapped.obsm["X"]])
    batches = np.concatenate([ref.obs["batch"].astype(str), mapped.obs["batch"].astype(str)])
    row = {"mixing": np.nan}
    if len(set(batches)) > 1:
        row["mixing"] = sp.metrics.entropy_batch_mixing(joint, batches, k=50, normalize=True)
    for name, said in (("own", own), ("vote", vote)):
        row |= {
            f"accuracy_{name}": (said[known] == truth[known]).mean(),
            f"f1_{name}": f1_score(truth[known], said[known], average="macro", labels=types),
        }
    difference = np.subtract(recall["own"], recall["vote"])
    row |= {"worst_type": types[difference.argmin()], "worst_recall": difference.min()}
    if not known.all():
        uncertain = {"own": 1 - soft.to_numpy().max(axis=1), "vote": mapped.obs["cell_type_uncertainty"]}
        row |= {f"auroc_{name}": roc_auc_score(~known, values) for name, values in uncertain.items()}
    return row


def semi_supervised(base, seed, recipe="scanvi", **kwargs):
    recipe = sp.model.RECIPES[recipe]
    scvi.settings.seed = seed
    model = sp.model.SCANVI.from_scvi_model(base, "Unknown", **recipe.semi_supervised_model_kwargs, **kwargs)
    model.train(max_epochs=SEMI_EPOCHS, **recipe.semi_supervised_kwargs, **QUIET)
    return model


def mapped(model, query, stage, seed, epochs, *, after):
    scvi.settings.seed = seed
    strategy, penalties = sp.model.QUERY_RECIPES[stage]
    one = sp.model.SCANVI.load_query_data(query, model, strategy=strategy)
    own = one.own_penalties() if after else ()
    one.train(max_epochs=epochs, penalties=(*penalties, *own), plan_kwargs={"weight_decay": 0.0}, **QUIET)
    return one


def run(name, seed, options):
    """Yield what each way scores at each stage."""
    reference, held, query = read(name, options.data_dir, seed, options.query_cells)
    scvi.settings.seed = seed
    sp.model.SCVI.setup_anndata(reference, batch_key="batch", labels_key="cell_type")
    base = sp.model.SCVI(reference, **sp.model.RECIPES["scvi"].model_kwargs)
    base.train(max_epochs=options.epochs, **QUIET)
    if options.schedules:
        for way, recipe, arguments in (
            ("elbo", "scanvi", {"labels_in_elbo": True}),
            ("alternating", "scanvi_alternating", {}),
        ):
            model = semi_supervised(base, seed, recipe, **arguments)
            if way == "elbo":
                model.fit_classifier()
            yield way, "held-out", scores(model, reference, held)
            one = mapped(model, query, "condition", seed, options.map_epochs, after=False)
            yield way, "condition", scores(one, reference, query)
        return
    model = semi_supervised(base, seed)
    for way in ("before", "after"):
        if way == "after":
            torch.manual_seed(seed)
            model.fit_classifier()
            sp.train.summarize_reference(model, "cell_type")
        sp.train.estimate_importance(model)
        yield way, "held-out", scores(model, reference, held)
        for stage in ("condition", "all", "clcvae"):
            one = mapped(model, query, stage, seed, options.map_epochs, after=way == "after")
            yield way, stage, scores(one, reference, query)


def tables(done):
    """Print differences of the classifier from the vote: mean with 95 % interval, range over sets, worst run."""
    for score in ("accuracy", "f1"):
        done[score] = done[f"{score}_own"] - done[f"{score}_vote"]
    for (way, stage), rows in done.groupby(["way", "stage"], sort=False):
        line = f"{way:12s} {stage:10s}"
        for score in ("accuracy", "f1"):
            by_set = rows.groupby("set", sort=False)[score].mean()
            mean, low, high = interval(rows[score])
            line += (
                f" | {score} {rows[f'{score}_own'].mean():.3f}, minus vote {mean:+.3f} [{low:+.3f}, {high:+.3f}], sets "
                f"{by_set.min():+.3f} to {by_set.max():+.3f}, worst run {rows[score].min():+.3f}"
            )
        line += f" | recall {rows['worst_recall'].mean():+.2f}, worst {rows['worst_recall'].min():+.2f}"
        line += f" | mixing {rows['mixing'].mean():.3f}"
        if "auroc_own" in rows and rows["auroc_own"].notna().any():
            line += f" | AUROC {rows['auroc_own'].mean():.3f}, vote {rows['auroc_vote'].mean():.3f}"
        print(line, f"| {len(rows)} runs")
    print(done.pivot_table("accuracy", "set", ["way", "stage"], sort=False).round(3).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--epochs", type=int, default=60, help="of scVI, before scANVI's 20")
    parser.add_argument("--map-epochs", type=int, default=50)
    parser.add_argument("--query-cells", type=int, default=400)
    parser.add_argument("--schedules", action="store_true", help="only the ways elbo and alternating")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--show", action="store_true", help="only the tables of what is there")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    for seed in [] if options.show else options.seeds:
        for name in options.sets:
            done = (
                pd.read_csv(options.results)
                if options.results.exists()
                else pd.DataFrame(columns=["set", "seed", "way"])
            )
            ways = ["elbo", "alternating"] if options.schedules else ["before", "after"]
            if ((done["set"] == name) & (done["seed"] == seed) & done["way"].isin(ways)).any():
                continue
            rows = pd.DataFrame(
                [{"set": name, "seed": seed, "way": w, "stage": s, **row} for w, s, row in run(name, seed, options)]
            )
            options.results.parent.mkdir(exist_ok=True)
            pd.concat([done, rows], ignore_index=True).to_csv(options.results, index=False)
    tables(pd.read_csv(options.results))


if __name__ == "__main__":
    main()
