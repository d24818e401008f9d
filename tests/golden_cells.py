"""Cells of the golden bundles, and what their models are asked."""

import numpy as np
import pandas as pd
import scvi
from anndata import AnnData
from small_models import as_taken

import scarches_plus as sp

MAPPINGS = {"condition": ("condition", ()), "EWC": ("all", (sp.train.EWC(weight=10.0),))}


def golden_cells(folder):
    """Reference and query, as they were written."""
    with np.load(folder / "cells.npz") as file:
        counts = {name: file[name] for name in file.files}
    parts = []
    for part in ("reference", "query"):
        values = counts[f"{part}/counts"].astype(np.float32)
        n = len(values)
        obs = pd.DataFrame(index=[f"{part}{i}" for i in range(n)])
        obs["batch"] = [f"batch{i % 2}" for i in range(n)] if part == "reference" else "batch2"
        obs["cell_type"] = [f"type{i % 3}" for i in range(n)]
        obs["donor"], obs["age"] = [f"donor{i % 2}" for i in range(n)], np.linspace(0, 1, n)
        names = pd.DataFrame(index=[f"gene{i}" for i in range(values.shape[1])])
        parts.append(AnnData(values, obs, names))
    return parts


def answers(folder):
    """What each model of a folder makes of the cells."""
    reference, query = golden_cells(folder)
    results = {}
    for name in ("scvi", "scanvi", "totalvi", "covariates", "mapped"):
        model = sp.hub.load_bundle(folder / name)
        results[f"{name}/embedding"] = model.embed(as_taken(type(model), reference))
        if name == "mapped":
            results[f"{name}/query"] = model.embed(query)
    for mapping, (strategy, penalties) in MAPPINGS.items():
        scvi.settings.seed = 0
        cells = query.copy()
        mapped = sp.tl.map_query(
            cells, sp.hub.load_bundle(folder / "scvi"), strategy=strategy, penalties=penalties, max_epochs=3,
            engine="scvi", train_kwargs={"enable_progress_bar": False},
        )  # fmt: skip
        results[f"{mapping}/query"] = cells.obsm["X_scarches"]
        results[f"{mapping}/probabilities"] = mapped.state.summaries["cell_type"].probabilities(
            cells.obsm["X_scarches"]
        )
    return results
