"""Loss curves of a reference with MMD, trained by one process and by two (DDP) with half of each minibatch.

    python benchmarks/two_processes.py [--cells 2000] [--epochs 20] [--seeds 0 1 2]

With layer norm, as the recipes have it: batch norm would see half of a minibatch (lightning's ``sync_batchnorm``). Two
processes see the same cells in other minibatches, so that curves agree as those of two seeds do.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scvi

import scarches_plus as sp

BATCH = 128


def train(options, seed, n_processes):
    """Return ELBO and MMD over epochs."""
    scvi.settings.seed = seed
    adata = sp.datasets.simulate(options.cells, 500, 6, n_batches=3, batch_effect=0.5, rng=0)
    sp.model.SCVI.setup_anndata(adata, batch_key="batch")
    model = sp.model.SCVI(adata, n_hidden=64, use_batch_norm="none", use_layer_norm="both")
    several = {"strategy": "ddp_find_unused_parameters_true", "devices": n_processes} if n_processes > 1 else {}
    model.train(
        options.epochs,
        penalties=[sp.train.MMD(weight=1.0)],
        accelerator="cpu",
        batch_size=BATCH // n_processes,
        train_size=1.0,
        engine="scvi",
        enable_progress_bar=False,
        **several,
    )
    if int(os.environ.get("LOCAL_RANK", 0)):
        sys.exit()  # the first process has the history
    history = model.history
    return pd.concat([history["elbo_train"], history["mmd_train"]], axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.one:
        n_processes, seed, out = options.one
        curve = train(options, int(seed), int(n_processes))
        curve.to_csv(out, index=False)
        return
    curves = {}
    with tempfile.TemporaryDirectory() as folder:
        for n_processes in (1, 2):
            for seed in options.seeds:
                out = Path(folder) / f"{n_processes}_{seed}.csv"
                command = [sys.executable, __file__, "--cells", str(options.cells), "--epochs", str(options.epochs)]
                subprocess.run([*command, "--one", str(n_processes), str(seed), str(out)], check=True)
                curves[n_processes, seed] = pd.read_csv(out)
    for name in ("elbo_train", "mmd_train"):
        one, two = (np.array([curves[n, seed][name] for seed in options.seeds]) for n in (1, 2))
        between = np.abs(one - one.mean(axis=0)).max(axis=0) / np.abs(one.mean(axis=0))
        apart = np.abs(two.mean(axis=0) / one.mean(axis=0) - 1)
        print(f"{name}: one {one.mean(axis=0)[[0, -1]]}, two {two.mean(axis=0)[[0, -1]]} (first and last epoch)")
        print(f"  apart by {apart.max():.4f} at most; seeds of one process by {between.max():.4f}")
    print(json.dumps({f"{n}_{seed}": curve.iloc[-1].to_dict() for (n, seed), curve in curves.items()}))


if __name__ == "__main__":
    main()
