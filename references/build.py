"""Build the reference models that come with the package: ``make references``.

Small models of data that anyone has (scanpy's PBMC, simulated cells), each with its card, and all scores of a mapped
query in it. What they make of some cells goes to tests/hub/golden/references.npz: embeddings of the reference, and of a
query after three epochs of mapping. What was there is replaced when all models are done.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

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
CONTACTS = ["scarches_plus developers"]
SILENT = {"enable_progress_bar": False}
#: Cells whose embedding the tests look at, and cells of the query that are mapped for it.
N_GOLDEN, N_MAPPED = 20, 60


def card_of(name):
    """Return what a card says of a reference beside its scores, and where a query for it comes from."""
    if name == "pbmc68k-scanvi":
        return {
            "title": "PBMC 68k, five lanes", "species": "human", "tissue": "blood", "license": "CC-BY-4.0",
            "citation": "Zheng et al. 2017, Nature Communications 8:14049", "gene_namespace": "symbol",
            "description": "700 cells that scanpy carries, 765 genes. For trying things out: real references are larger."
            "\n\nTrained on five lanes of sp.datasets.pbmc68k(); the others are a query.",
        }  # fmt: skip
    recipe = name.removeprefix("simulated-").replace("-", "_")
    more = {
        "bascvi": "Two layers of 64 instead of four of 512.\n\n",
        "trvae_sse": "MMD of weight 1 instead of 50, which belongs to the squared error of ten times as many genes.\n\n",
    }
    n = n_batches(recipe)
    return {
        "title": f"Simulated cells, recipe {recipe}", "species": "none", "tissue": "simulated", "license": "CC0-1.0",
        "description": f"{more.get(recipe, '')}Trained on all batches but the last two of sp.datasets.simulate({300 * n}, 150, 6, "
        f"n_batches={n}, mean_depth=2000.0, rng=0); these two are a query.",
    }  # fmt: skip


def n_batches(recipe):
    """Return how many batches are simulated: more where nothing is learned of the query."""
    return 8 if recipe == "bascvi" else 4


def build(folder, name, reference, query, recipe, **options):
    """Write a bundle and return its golden embeddings."""
    card = card_of(name)
    some = query[:N_MAPPED].copy()
    scvi.settings.seed = 0
    model = sp.tl.build_reference(
        reference,
        "batch",
        "cell_type",
        recipe=recipe,
        train_kwargs=SILENT,
        **options,
    )
    golden = {name: model.embed(reference[:N_GOLDEN])}
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
        **report(reference, query),
    }
    shown = (
        card["species"] == "human"
    )  # all files together stay below 4 MB: one to look for novel cells with, and to draw
    if shown:
        reference.obsm["X_umap"] = sp.tl.reference_map(reference).points
    sp.hub.save_bundle(
        model,
        folder / name,
        card={"name": name, "version": VERSION, "contacts": CONTACTS, "evaluation": scores, **card},
        reference=reference if shown else None,
        include=("latent", "labels", "umap") if shown else (),
        summary=not shown or sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches"),
    )
    print(name, scores)
    if recipe != "bascvi":
        scvi.settings.seed = 0
        sp.tl.map_query(some, sp.hub.load_bundle(folder / name), max_epochs=3, train_kwargs=SILENT)
        golden[f"{name}, mapped"] = some.obsm["X_scarches"][:N_GOLDEN]
    return golden


def report(reference, query):
    """Return the scores of sp.metrics.evaluate for reference and mapped query together."""
    joint = sp.tl.joint_embedding(reference, query)
    of_reference = (joint.obs["mapping_role"] == "reference").to_numpy()
    table = sp.metrics.evaluate(
        joint, "X_scarches", "batch", labels_key="cell_type", reference_mask=of_reference, progress=False
    ).table()
    return {score: round(float(value), 3) for (_, score), value in table.iloc[0].items() if np.isfinite(value)}


def pbmc(folder):
    adata = pbmc68k()
    lanes = sorted(adata.obs["batch"].unique())
    inside = adata.obs["batch"].isin(lanes[:5]).to_numpy()
    options = {"model_kwargs": {"n_hidden": 56}, "max_epochs": 200}
    return build(folder, "pbmc68k-scanvi", adata[inside].copy(), adata[~inside].copy(), "scanvi", **options)


#: One for each kind of network of genes; variants differ in training and size, and all of them would take over 3 MB.
RECIPES = ("scvi", "scanvi", "scanvi_alternating", "cvae", "trvae", "trvae_mse", "trvae_sse", "bascvi")


def simulated(folder, recipe):
    """Two batches and two of a query, 150 genes; more of both where nothing is learned of the query."""
    n = n_batches(recipe)
    adata = simulate(300 * n, 150, 6, n_batches=n, mean_depth=2000.0, rng=0)
    inside = ~adata.obs["batch"].isin([f"batch{n - 2}", f"batch{n - 1}"]).to_numpy()
    options = {"max_epochs": 400}
    if recipe == "bascvi":
        options = {"max_epochs": 200, "model_kwargs": {"n_hidden": 64, "n_layers": 2}}
    elif recipe == "trvae_sse":
        options["penalties"] = (MMD(weight=1.0, on="decoder", reduction="sum"),)
    elif "layer_widths" not in sp.model.RECIPES[recipe].model_kwargs:
        options["model_kwargs"] = {"n_hidden": 32}
    name = f"simulated-{recipe.replace('_', '-')}"
    return build(folder, name, adata[inside].copy(), adata[~inside].copy(), recipe, **options)


def main():
    with TemporaryDirectory(dir=ROOT / "references") as temporary:
        folder = Path(temporary) / FOLDER.name
        folder.mkdir()
        golden = pbmc(folder)
        for recipe in RECIPES:
            golden |= simulated(folder, recipe)
        sp.hub.write_index(folder)
        shutil.rmtree(FOLDER, ignore_errors=True)
        folder.rename(FOLDER)
    np.savez_compressed(GOLDEN, **golden)
    print(sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()), "bytes")


if __name__ == "__main__":
    main()
