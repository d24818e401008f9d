"""Seconds per epoch of reference training, of scarches_plus and of scvi-tools, and how far their ELBO curves are apart.

    python benchmarks/speed/reference_training.py [--epochs 8] [--sizes 12000x1300 5000x9000] [--threads 1]

Both train scVI on the same simulated counts, from the same weights and random numbers, in turns of two epochs within
one process. A turn's first epoch is left out of the times: it makes the cells dense (in 0.1 to 0.3 s) and warms the
caches. Times are CPU seconds on one thread, which other programs disturb least, and wall seconds on more. The default
run takes 4 minutes on one core.
"""

import argparse
from statistics import median
from time import perf_counter, process_time

import numpy as np
import scvi
import torch
from _common import quiet, write_row
from lightning.pytorch.callbacks import Callback

import scarches_plus as sp
from scarches_plus.model import RECIPES, SCVI

TURN = 2


class Clock(Callback):
    def __init__(self):
        self.now = process_time if torch.get_num_threads() == 1 else perf_counter
        self.seconds = []

    def on_train_epoch_start(self, *_):
        self.start = self.now()

    def on_train_epoch_end(self, *_):
        self.seconds.append(self.now() - self.start)


def turn(model, seed):
    watch = Clock()
    scvi.settings.seed = seed
    model.module.train()
    model.train(max_epochs=TURN, enable_progress_bar=False, callbacks=[watch], log_every_n_steps=10)
    return watch.seconds[1:]


def compare(adata, likelihood, n_epochs):
    models = {}
    for cls in (SCVI, scvi.model.SCVI):
        cls.setup_anndata(adata, batch_key="batch")
        scvi.settings.seed = 0
        models[cls] = cls(adata, **{**RECIPES["scvi"].model_kwargs, "gene_likelihood": likelihood})
    seconds = {cls: [] for cls in models}
    for seed in range(max(2, n_epochs // TURN)):
        for cls, model in models.items():
            seconds[cls] += turn(model, seed)
    ours, theirs = seconds.values()
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    mine, expected = (model.history["elbo_train"].to_numpy(dtype=float).ravel() for model in models.values())
    return median(ours), median(theirs), median(ratios), min(ratios), max(ratios), np.abs(mine / expected - 1).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--sizes", nargs="+", default=["12000x1300", "5000x9000"], metavar="CELLSxGENES")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    quiet(options.threads)
    for size in options.sizes:
        n_cells, n_genes = map(int, size.split("x"))
        adata = sp.datasets.simulate(n_cells, n_genes, 8, n_batches=3, rng=0)
        for likelihood in ("nb", "zinb"):
            ours, theirs, ratio, low, high, difference = compare(adata, likelihood, options.epochs)
            row = {
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
