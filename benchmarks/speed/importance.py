"""Seconds for the importance of weights: squares of single cells, of minibatches, and one cell at a time by torch
alone.

    python benchmarks/speed/importance.py [--cells 2000] [--genes 2000] [--threads 2] [--repeats 5]

scVI and scANVI of the recipe "scvi" with random weights, which do not matter to speed, on simulated counts. Runs
alternate; medians, of wall seconds or, with one thread, of CPU seconds, which other programs disturb least. One cell at
a time is timed on some cells and extrapolated in proportion. An epoch of gradients (the same minibatches forward and
backward, without squares) is what any way costs at least. The largest difference is that to one cell at a time, on the
same cells and latent samples, in units of each parameter's largest importance. Takes three minutes.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter, process_time

import numpy as np
import torch
from _common import quiet, write_row

import scarches_plus as sp
from scarches_plus.model import RECIPES, SCANVI, SCVI


def seconds(function) -> float:
    now = process_time if torch.get_num_threads() == 1 else perf_counter
    start = now()
    function()
    return now() - start


def minibatches(model, rows, batch_size):
    return model._make_data_loader(adata=model.adata, indices=list(rows), batch_size=batch_size)


def one_at_a_time(model, rows) -> dict[str, torch.Tensor]:
    module = model.module
    squares: dict[str, torch.Tensor] = {}
    for tensors in minibatches(model, rows, 1):
        module.zero_grad(set_to_none=True)
        module(tensors, loss_kwargs={"kl_weight": 1.0})[2].loss.backward()
        for name, parameter in module.named_parameters():
            if parameter.grad is not None:
                squares[name] = squares.get(name, 0) + parameter.grad.square() / len(rows)
    module.zero_grad(set_to_none=True)
    return squares


def epoch_of_gradients(model, n_cells) -> None:
    for tensors in minibatches(model, range(n_cells), 128):
        model.module(tensors)[2].loss.backward()
    model.module.zero_grad(set_to_none=True)


def largest_difference(model) -> float:
    """Compare both ways where all cells have the same latent samples."""
    original = torch.distributions.normal._standard_normal
    torch.distributions.normal._standard_normal = lambda shape, dtype, device: torch.linspace(
        -1, 1, shape[-1], dtype=dtype, device=device
    ).expand(shape)
    try:
        expected = one_at_a_time(model, np.random.default_rng(0).permutation(model.adata.n_obs)[:100])
        found = sp.train.estimate_importance(model, n_cells=100).fisher
    finally:
        torch.distributions.normal._standard_normal = original
    if set(found) != set(expected):
        raise AssertionError(set(found) ^ set(expected))
    return max(float((found[name] - one).abs().max() / one.max()) for name, one in expected.items())


def compare(model, n_single, repeats) -> dict[str, str]:
    n_cells = model.adata.n_obs
    difference = largest_difference(model)  # and warms up
    ways = {
        "per_cell": lambda: sp.train.estimate_importance(model),
        "per_cell_5_samples": lambda: sp.train.estimate_importance(model, n_samples=5),
        "batch": lambda: sp.train.estimate_importance(model, estimator="batch"),
        "gradients_only": lambda: epoch_of_gradients(model, n_cells),
        "one_cell_at_a_time": lambda: one_at_a_time(model, range(n_single)),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, run in ways.items():
            times[way].append(seconds(run) * (n_cells / n_single if way == "one_cell_at_a_time" else 1))
    ratios = {
        f"{way}_to_per_cell": [a / b for a, b in zip(times[way], times["per_cell"], strict=True)]
        for way in ("gradients_only", "one_cell_at_a_time")
    }
    return {
        **{f"{way}_s": f"{median(taken):.2f}" for way, taken in times.items()},
        **{name: f"{median(some):.3g} ({min(some):.3g} to {max(some):.3g})" for name, some in ratios.items()},
        "largest_difference": f"{difference:.0e}",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--single-cells", type=int, default=100, help="cells that are timed one at a time")
    options = parser.parse_args()
    quiet(options.threads)
    adata = sp.datasets.simulate(options.cells, options.genes, 8, n_batches=3, rng=0)
    for cls in (SCVI, SCANVI):
        labels = {"labels_key": "cell_type", "unlabeled_category": "Unknown"} if cls is SCANVI else {}
        cls.setup_anndata(adata, batch_key="batch", **labels)
        for likelihood in ("nb", "zinb"):
            model = cls(adata, **{**RECIPES["scvi"].model_kwargs, "gene_likelihood": likelihood})
            model.module.eval()
            row = {"model": cls.__name__, "cells": options.cells, "genes": options.genes, "likelihood": likelihood}
            write_row("importance", {**row, **compare(model, options.single_cells, options.repeats)})


if __name__ == "__main__":
    main()
