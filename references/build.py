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
from scarches_plus.train import MMD

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "scarches_plus" / "hub" / "references"
GOLDEN = ROOT / "tests" / "hub" / "golden" / "references.npz"
VERSION = "1"
SILENT = {"enable_progress_bar": False}
#: Cells whose embedding the tests look at.
N_GOLDEN = 20


def build(name, reference, query, recipe, card, **options):
    scvi.settings.seed = 0
    model = sp.tl.build_reference(
        reference,
        "batch",
        "cell_type",
        recipe=recipe,
        train_kwargs=SILENT,
        **options,
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
    calibration = sp.tl.calibrate_labels(reference, "cell_type", batch_key="batch")
    sp.hub.save_bundle(
        model,
        FOLDER / name,
        card={"name": name, "version": VERSION, "evaluation": scores, **card},
        # 3 MB is all there is: one reference to look for novel cells with
        profiles=sp.tl.label_profiles(reference, "cell_type", "batch") if card["species"] == "human" else None,
        calibration={"cell_type": calibration.to_plain()},
    )
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
    """Two batches and two of a query, 150 genes; more of both where nothing is learned of the query."""
    n_query = 2
    n_batches = 8 if recipe == "bascvi" else 4
    adata = simulate(300 * n_batches, 150, 6, n_batches=n_batches, mean_depth=2000.0, rng=0)
    inside = ~adata.obs["batch"].isin([f"batch{n_batches - 1 - i}" for i in range(n_query)]).to_numpy()
    card = {
        "title": f"Simulated cells, recipe {recipe}",
        "species": "none",
        "tissue": "simulated",
        "license": "CC0-1.0",
    }
    options = {"max_epochs": 400}
    if recipe == "bascvi":
        options = {"max_epochs": 200, "model_kwargs": {"n_hidden": 64, "n_layers": 2}}
        card["description"] = "Two layers of 64 instead of four of 512."
    elif recipe == "trvae_sse":
        options["penalties"] = (MMD(weight=1.0, on="decoder", reduction="sum"),)
        card["description"] = (
            "MMD of weight 1 instead of 50, which belongs to the squared error of ten times as many genes."
        )
    elif "layer_widths" not in sp.model.RECIPES[recipe].model_kwargs:
        options["model_kwargs"] = {"n_hidden": 32}
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
