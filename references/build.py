"""Build the reference models that come with the package: ``make references``.

Small models of data that anyone has (scanpy's PBMC, simulated cells), each with its card and scores of a mapped query. Their
embeddings of some of their cells go to tests/hub/golden/references.npz.
"""

import shutil
from pathlib import Path

import numpy as np
import scvi
from sklearn.metrics import accuracy_score, f1_score

import scarches_plus as sp
from scarches_plus.datasets import pbmc68k, simulate

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "scarches_plus" / "hub" / "references"
GOLDEN = ROOT / "tests" / "hub" / "golden" / "references.npz"
VERSION = "1"
SILENT = {"enable_progress_bar": False}
#: Cells whose embedding the tests look at.
N_GOLDEN = 20


def build(name, reference, query, recipe, card, *, model_kwargs, max_epochs):
    scvi.settings.seed = 0
    model = sp.tl.build_reference(
        reference,
        "batch",
        "cell_type",
        recipe=recipe,
        model_kwargs=model_kwargs,
        max_epochs=max_epochs,
        train_kwargs=SILENT,
    )
    golden = model.embed(reference[:N_GOLDEN])
    sp.train.summarize_reference(model, "cell_type")
    if recipe == "bascvi":
        sp.tl.embed(query, model)
        mapped = model
    else:
        scvi.settings.seed = 0
        mapped = sp.tl.map_query(query, model, max_epochs=100, train_kwargs=SILENT)
    sp.tl.transfer_labels(query, mapped, "cell_type", unknown_above=None)
    truth, found = (query.obs[key].astype(str) for key in ("cell_type", "cell_type_pred"))
    known = truth.isin(reference.obs["cell_type"].astype(str))
    scores = {
        "query cells": int(known.sum()),
        "accuracy of transferred labels": round(float(accuracy_score(truth[known], found[known])), 3),
        "macro F1 of transferred labels": round(
            float(f1_score(truth[known], found[known], average="macro", labels=sorted(set(truth[known])))), 3
        ),
    }
    sp.hub.save_bundle(model, FOLDER / name, card={"name": name, "version": VERSION, "evaluation": scores, **card})
    print(name, scores)
    return golden


def pbmc():
    adata = pbmc68k()
    lanes = sorted(adata.obs["batch"].unique())
    inside = adata.obs["batch"].isin(lanes[:5]).to_numpy()
    card = {
        "title": "PBMC 68k, five lanes", "species": "human", "tissue": "blood", "license": "CC-BY-4.0",
        "citation": "Zheng et al. 2017, Nature Communications 8:14049", "gene_namespace": "symbol",
        "description": "700 cells that scanpy carries, 765 genes. For trying things out: real references are larger.",
    }  # fmt: skip
    options = {"model_kwargs": {"n_hidden": 56}, "max_epochs": 200}
    return build("pbmc68k-scanvi", adata[inside].copy(), adata[~inside].copy(), "scanvi", card, **options)


def simulated(recipe):
    adata = simulate(1200, 150, 6, n_batches=4, mean_depth=2000.0, rng=0)
    inside = adata.obs["batch"].isin(["batch0", "batch1"]).to_numpy()
    own_widths = "layer_widths" in sp.model.RECIPES[recipe].model_kwargs
    card = {
        "title": f"Simulated cells, recipe {recipe}",
        "species": "none",
        "tissue": "simulated",
        "license": "CC0-1.0",
    }
    batch_free = recipe == "bascvi"  # learns slowly
    options = {"model_kwargs": {} if own_widths else {"n_hidden": 32}, "max_epochs": 1000 if batch_free else 400}
    name = f"simulated-{recipe.replace('_', '-')}"
    return build(name, adata[inside].copy(), adata[~inside].copy(), recipe, card, **options)


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    golden = {"pbmc68k-scanvi": pbmc()}
    for recipe in sp.model.RECIPES:
        golden[f"simulated-{recipe.replace('_', '-')}"] = simulated(recipe)
    sp.hub.write_index(FOLDER)
    np.savez_compressed(GOLDEN, **golden)
    print(sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()), "bytes")


if __name__ == "__main__":
    main()
