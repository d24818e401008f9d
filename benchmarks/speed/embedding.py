"""Latent means of a reference model against scvi-tools' get_latent_representation, on the CPU, in memory and from disk.

    python benchmarks/speed/embedding.py
    python benchmarks/speed/embedding.py --cells 1000000 --repeats 1

Simulated counts with random places of non-zeros, a network of two layers of 128 units with random weights (which do not
matter to speed). Runs alternate. Prints seconds, throughput, ratios with their range over the repeats, the largest
difference, and the memory that embedding from a backed file needs above the process before it, in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import anndata
import numpy as np
import scvi
from _common import quiet, write_row
from anndata import AnnData
from scipy import sparse

import scarches_plus as sp
from scarches_plus.model import SCVI

BATCHES = ("a", "b", "c", "d")
PATTERN = 1000  # cells after which the places of non-zeros repeat


def simulate(n_cells: int, n_genes: int, density: float) -> AnnData:
    rng = np.random.default_rng(0)
    n_stored = int(n_genes * density)
    places = np.sort(rng.random((PATTERN, n_genes)).argsort(axis=1)[:, :n_stored], axis=1).astype(np.int32)
    counts = (1 + rng.poisson(0.7, (PATTERN, n_stored))).astype(np.float32)
    repeats = -(-n_cells // PATTERN)
    n_values = n_cells * n_stored
    indptr = np.arange(0, n_values + 1, n_stored, dtype=np.int32 if n_values < 2**31 else np.int64)
    values, indices = (np.tile(part.ravel(), repeats)[:n_values] for part in (counts, places))
    adata = AnnData(sparse.csr_matrix((values, indices.astype(indptr.dtype, copy=False), indptr), (n_cells, n_genes)))
    adata.obs["batch"] = np.resize(BATCHES, n_cells)
    return adata


def random_model(adata: AnnData) -> SCVI:
    cells = adata[:PATTERN].copy()
    SCVI.setup_anndata(cells, batch_key="batch")
    network = {"n_layers": 2, "n_hidden": 128, "n_latent": 10, "encode_covariates": True}
    model = SCVI(cells, **network, use_layer_norm="both", use_batch_norm="none")
    model.is_trained_ = True
    model.module.eval()
    return model


def seconds(function) -> tuple[float, np.ndarray]:
    start = perf_counter()
    result = function()
    return perf_counter() - start, result


def peak_mib() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells begins with the parent's memory on Linux
        return (
            next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 2**10
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def embed_backed(path: Path) -> None:
    """Print MiB before, MiB at the peak and seconds of a whole sp.tl.embed from a file; runs in its own process."""
    model = sp.model.load(path / "model")
    backed = anndata.read_h5ad(path / "cells.h5ad", backed="r")
    model.embed(AnnData(np.ones((20, backed.n_vars)), obs=backed.obs[:20], var=backed.var))  # imports, warm-up
    before = peak_mib()
    taken, _ = seconds(lambda: sp.tl.embed(backed, model))
    np.save(path / "embedding.npy", backed.obsm["X_scarches"])
    print(before, peak_mib(), taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--density", type=float, default=0.18)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--embed-backed", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    quiet(options.threads)
    if options.embed_backed:
        embed_backed(options.embed_backed)
        return

    adata = simulate(options.cells, options.genes, options.density)
    model = random_model(adata)
    registered = adata.copy()
    model._validate_anndata(registered)
    contenders = {
        "scvi-tools get_latent_representation": lambda: scvi.model.SCVI.get_latent_representation(model, registered),
        "model.get_latent_representation": lambda: model.get_latent_representation(registered),
        "model.embed": lambda: model.embed(adata),
    }
    times = {name: [] for name in contenders}
    results = {}
    for _ in range(options.repeats):
        for name, function in contenders.items():
            taken, results[name] = seconds(function)
            times[name].append(taken)

    size = {"cells": options.cells, "genes": options.genes, "density": options.density}
    theirs = next(iter(contenders))
    scale = np.abs(results[theirs]).max()
    for name in contenders:
        ratios = [a / b for a, b in zip(times[theirs], times[name], strict=True)]
        row = {
            **size,
            "what": name,
            "seconds": f"{median(times[name]):.2f}",
            "cells_per_s": f"{options.cells / median(times[name]):.0f}",
            "ratio": f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            "largest_relative_difference": f"{np.abs(results[name] - results[theirs]).max() / scale:.0e}",
        }
        write_row("embedding", row)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        adata.write_h5ad(path / "cells.h5ad")
        model.save(path / "model")
        arguments = [sys.executable, __file__, "--embed-backed", folder, "--threads", str(options.threads)]
        output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        before, peak, taken = map(float, output.split()[-3:])
        difference = np.abs(np.load(path / "embedding.npy") - results[theirs]).max() / scale
    matrix = (adata.X.data.nbytes + adata.X.indices.nbytes + adata.X.indptr.nbytes) / 2**20
    row = {
        **size,
        "seconds": f"{taken:.2f}",
        "matrix_mib": f"{matrix:.0f}",
        "mib_above_start": f"{peak - before:.0f}",
        "largest_relative_difference": f"{difference:.0e}",
    }
    write_row("embedding_from_disk", row)


if __name__ == "__main__":
    main()
