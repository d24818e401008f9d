"""Zero-shot embedding with BA-scVI's network against scvi-tools' get_latent_representation, on the CPU.

    python benchmarks/speed/zero_shot.py
    python benchmarks/speed/zero_shot.py --cells 200000 --repeats 1

A network of four layers of 512 units whose encoder does not see the batch, with random weights (which do not matter to
speed). ``model.embed`` gets cells as they come, with genes in another order and without any column; scvi-tools takes
them only after they were put in order, given a known batch and registered, which is not timed. Runs alternate. Prints
seconds, throughput, ratios with their range over the repeats, and the largest difference.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scvi
from _common import quiet, write_row
from anndata import AnnData
from scipy import sparse

from scarches_plus.model import RECIPES, SCVI

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = "reference"


def simulate(n_cells: int, n_genes: int, density: float) -> AnnData:
    counts = sparse.random(n_cells, n_genes, density, "csr", np.float32, np.random.default_rng(0))
    counts.data = np.ceil(4 * counts.data**3)
    return AnnData(counts, var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)]))


def random_model(adata: AnnData) -> SCVI:
    cells = adata[:1000].copy()
    cells.obs["batch"] = np.resize([BATCH, "another"], cells.n_obs)
    SCVI.setup_anndata(cells, batch_key="batch")
    model = SCVI(cells, **RECIPES["bascvi"].model_kwargs)
    model.is_trained_ = True
    model.module.eval()
    return model


def seconds(function: Callable[[], Any]) -> tuple[float, np.ndarray]:
    start = perf_counter()
    result = function()
    return perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--density", type=float, default=0.18)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    quiet(options.threads)

    adata = simulate(options.cells, options.genes, options.density)
    model = random_model(adata)
    new = adata[:, ::-1].copy()
    registered = adata.copy()
    registered.obs["batch"] = BATCH
    model._validate_anndata(registered)
    contenders = {
        "scvi-tools get_latent_representation": lambda: scvi.model.SCVI.get_latent_representation(model, registered),
        "model.embed": lambda: model.embed(new),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    results = {}
    for _ in range(options.repeats):
        for name, function in contenders.items():
            taken, results[name] = seconds(function)
            times[name].append(taken)

    theirs = next(iter(contenders))
    for name in contenders:
        ratios = [a / b for a, b in zip(times[theirs], times[name], strict=True)]
        difference = np.abs(results[name] - results[theirs]).max() / np.abs(results[theirs]).max()
        row = {
            "cells": options.cells,
            "genes": options.genes,
            "density": options.density,
            "what": name,
            "seconds": f"{median(times[name]):.2f}",
            "cells_per_s": f"{options.cells / median(times[name]):.0f}",
            "ratio": f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            "largest_relative_difference": f"{difference:.0e}",
        }
        write_row("zero_shot", row)


if __name__ == "__main__":
    main()
