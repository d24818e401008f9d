"""Seconds per epoch of reference training, of scarches_plus and of scvi-tools, and how far their ELBO curves are apart.

    python benchmarks/speed/reference_training.py [--turns 4] [--sizes 12000x1300 5000x9000] [--threads 1]
    python benchmarks/speed/reference_training.py --model SCANVI --sizes 12000x1300 --likelihood nb

Both train on the same simulated counts, scANVI with 8 labels, from the same weights and random numbers, in turns within
one process. A turn trains one epoch and then two; the difference is the time of an epoch, without what comes once (the
cells are made dense in 0.1 to 0.3 s). Times are CPU seconds on one thread, which other programs disturb least, and wall
seconds on more. The default run takes 4 minutes on one core.
"""

import argparse
from statistics import median
from time import perf_counter, process_time

import numpy as np
import scvi
import torch
from _common import quiet, write_row

import scarches_plus as sp
from scarches_plus import model as models_of_ours
from scarches_plus.model import RECIPES


def seconds_per_epoch(model, **kwargs):
    """Train one epoch and then two; return the difference."""
    now = process_time if torch.get_num_threads() == 1 else perf_counter
    taken = []
    for epochs in (1, 2):
        model.module.train()
        start = now()
        model.train(max_epochs=epochs, enable_progress_bar=False, log_every_n_steps=10, **kwargs)
        taken.append(now() - start)
    return taken[1] - taken[0]


def compare(adata, name, likelihood, n_turns):
    models = {}
    for cls in (getattr(models_of_ours, name), getattr(scvi.model, name)):
        labels = {"labels_key": "cell_type", "unlabeled_category": "Unknown"} if name == "SCANVI" else {}
        cls.setup_anndata(adata, batch_key="batch", **labels)
        scvi.settings.seed = 0
        models[cls] = cls(adata, **{**RECIPES["scvi"].model_kwargs, "gene_likelihood": likelihood})
    seconds = {cls: [] for cls in models}
    for seed in range(n_turns):
        for cls, model in models.items():
            scvi.settings.seed = seed
            seconds[cls].append(seconds_per_epoch(model))
    ours, theirs = seconds.values()
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    mine, expected = (model.history["elbo_train"].to_numpy(dtype=float).ravel() for model in models.values())
    return median(ours), median(theirs), median(ratios), min(ratios), max(ratios), np.abs(mine / expected - 1).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["SCVI", "SCANVI"], default="SCVI")
    parser.add_argument("--likelihood", nargs="+", default=["nb", "zinb"])
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--sizes", nargs="+", default=["12000x1300", "5000x9000"], metavar="CELLSxGENES")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    quiet(options.threads)
    for size in options.sizes:
        n_cells, n_genes = map(int, size.split("x"))
        adata = sp.datasets.simulate(n_cells, n_genes, 8, n_batches=3, rng=0)
        for likelihood in options.likelihood:
            ours, theirs, ratio, low, high, difference = compare(adata, options.model, likelihood, options.turns)
            row = {
                "model": options.model,
                "cells": n_cells,
                "genes": n_genes,
                "density": f"{adata.X.nnz / n_cells / n_genes:.2f}",
                "likelihood": likelihood,
                "ours_s_per_epoch": f"{ours:.2f}",
                "scvi_s_per_epoch": f"{theirs:.2f}",
                "ratio": f"{ratio:.2f} ({low:.2f} to {high:.2f})",
                "elbo_largest_difference": f"{difference:.0e}",
            }
            write_row("reference_training", row)


if __name__ == "__main__":
    main()
