"""Time and memory of a reference trained from disk, and of a query mapped and labelled from disk.

    python benchmarks/disk.py                       # 20,000 cells
    python benchmarks/disk.py --cells 1000000 --query 200000 --folder /somewhere/with/15/GB

Simulated studies are written block by block as .h5ad, two of them without a tenth of the genes, and joined into a store
(sp.pp.write_store). A reference trains on it for an epoch with MMD and gene mask, then maps and labels a query of two
new batches. Every step is a process of its own, whose peak of memory is reported. Beside it, the same training of
--beside cells in memory and from disk.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from time import perf_counter, process_time

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse

import scarches_plus as sp

N_TYPES, N_STUDIES, BLOCK = 12, 10, 20_000
#: Studies that lack a tenth of the genes each.
PANELS = {3: slice(0, None, 10), 7: slice(5, None, 10)}


class Clock:
    """Reads seconds since it was made, and those of all threads, which other work on the machine does not change."""

    def __init__(self):
        self.start, self.cpu = perf_counter(), process_time()

    def read(self, name):
        return {f"{name}_s": perf_counter() - self.start, f"{name}_cpu_s": process_time() - self.cpu}


def rates(genes):
    """Return the share of each gene in each type and batch, cumulated."""
    rng = np.random.default_rng(0)
    types = rng.normal(0, 1.2, genes) + rng.normal(0, 0.8, (N_TYPES, 1, genes)) * (
        rng.random((N_TYPES, 1, genes)) < 0.2
    )
    batches = rng.normal(0, 0.25, (1, N_STUDIES + 2, genes))
    share = np.exp(types + batches)
    return np.cumsum(share / share.sum(-1, keepdims=True), axis=-1)


def block_of(cumulated, study, n, rng):
    """Return counts and types of cells of a study."""
    genes = cumulated.shape[-1]
    types = rng.integers(0, N_TYPES, n)
    depth = rng.lognormal(np.log(300), 0.35, n).astype(int) + 20
    cell = np.repeat(np.arange(n), depth)
    gene = np.empty(len(cell), dtype=np.int32)
    drawn = rng.random(len(cell))
    for kind in range(N_TYPES):
        own = types[cell] == kind
        gene[own] = np.searchsorted(cumulated[kind, study], drawn[own])
    counts = sparse.coo_matrix((np.ones(len(cell), dtype=np.float32), (cell, np.minimum(gene, genes - 1))), (n, genes))
    return counts.tocsr(), types


def write_study(path, cumulated, study, n_cells):
    """Write a study, a block of cells at a time."""
    rng = np.random.default_rng(study + 1)
    genes = np.array([f"gene{i}" for i in range(cumulated.shape[-1])])
    kept = np.ones(len(genes), dtype=bool)
    kept[PANELS.get(study, slice(0))] = False
    types, indptr, n_values = [], [np.zeros(1, dtype=np.int64)], 0
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        group = file.create_group("X")
        for name, kind in (("data", np.float32), ("indices", np.int32)):
            group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(2**16,))
        for start in range(0, n_cells, BLOCK):
            counts, of = block_of(cumulated, study, min(BLOCK, n_cells - start), rng)
            counts = counts[:, kept]
            for name in ("data", "indices"):
                group[name].resize((n_values + counts.nnz,))
                group[name][n_values:] = getattr(counts, name)
            indptr.append(counts.indptr[1:].astype(np.int64) + n_values)
            n_values += counts.nnz
            types.append(of)
        group.create_dataset("indptr", data=np.concatenate(indptr))
        shape = (n_cells, int(kept.sum()))
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
        kinds = pd.Categorical.from_codes(np.concatenate(types), [f"type{i}" for i in range(N_TYPES)])
        names = [f"{study}_{i}" for i in range(n_cells)]
        write_elem(file, "obs", pd.DataFrame({"cell_type": kinds, "batch": f"study{study}"}, index=names))
        write_elem(file, "var", pd.DataFrame(index=genes[kept]))


def files(folder, cells, what="study", studies=range(N_STUDIES)):
    """Return the files of a data set."""
    return [folder / f"{cells}-{what}{study}.h5ad" for study in studies]


def simulate(folder, options):
    """Write the studies of a reference, and a query of two batches."""
    cumulated = rates(options.genes)
    for study, path in enumerate(files(folder, options.cells)):
        write_study(path, cumulated, study, options.cells // N_STUDIES)
    return {}


def store(folder, options):
    """Join the studies."""
    clock = Clock()
    out = sp.pp.write_store(
        files(folder, options.cells), folder / f"{options.cells}.zarr", min_studies=2, overwrite=True
    )
    size = sum(one.stat().st_size for one in out.rglob("*") if one.is_file())
    return {**clock.read("store"), "store_MB": size / 1e6}


def train(folder, options, *, in_memory=False):
    """Build a reference in an epoch, then train it for --epochs."""
    adata = sp.pp.open_cells(folder / f"{options.cells}.zarr")
    adata = adata.to_memory() if in_memory else adata
    more = {"enable_progress_bar": False}
    clock = Clock()
    model = sp.tl.build_reference(
        adata, "batch", "cell_type", penalties=[sp.train.MMD()], max_epochs=1, train_kwargs=more
    )
    measured = clock.read("build")
    if options.epochs:
        clock = Clock()
        model.train(max_epochs=options.epochs, penalties=[sp.train.MMD()], **more)
        measured |= clock.read("train")
        measured["cells_per_cpu_s"] = options.epochs * len(model.train_indices) / measured["train_cpu_s"]
    masked = sum(map(len, model.state.unmeasured.values()))
    elbo = float(np.ravel(model.history["elbo_train"])[-1])
    if not in_memory:
        sp.train.summarize_reference(model, "cell_type")
        sp.hub.save_bundle(model, folder / f"{options.cells}-bundle", overwrite=True)
    return {**measured, "masked": masked, "elbo": elbo}


def memory(folder, options):
    """Train in memory."""
    return train(folder, options, in_memory=True)


def query(folder, options):
    """Map and label a query from disk."""
    cumulated = rates(options.genes)
    paths = files(folder, options.cells, "query", (N_STUDIES, N_STUDIES + 1))
    for study, path in enumerate(paths, N_STUDIES):
        write_study(path, cumulated, study, options.query // 2)
    joined = sp.pp.write_store(paths, folder / f"{options.cells}-query.zarr", overwrite=True)
    clock = Clock()
    adata = sp.pp.open_cells(joined)
    truth = adata.obs["cell_type"].astype(str)
    bundle = folder / f"{options.cells}-bundle"
    mapped = sp.tl.map_query(
        adata, bundle, max_epochs=options.query_epochs, train_kwargs={"enable_progress_bar": False}
    )
    measured = clock.read("map")
    clock = Clock()
    adata.obs = adata.obs.drop(columns="cell_type")
    sp.tl.transfer_labels(adata, mapped, "cell_type")
    accuracy = float((adata.obs["cell_type_pred"].astype(str) == truth).mean())
    return {**measured, **clock.read("label"), "accuracy": accuracy, "engine": mapped.state.engine}


STEPS = {step.__name__: step for step in (simulate, store, train, memory, query)}


def run(step, folder, options, **changes):
    """Run a step in a process of its own, and return what it measured."""
    given = vars(options) | changes
    names = ("cells", "genes", "query", "epochs", "query_epochs")
    words = [f"--{name.replace('_', '-')}={given[name]}" for name in names if given[name] is not None]
    command = [sys.executable, "-W", "ignore", __file__, "--step", step, "--folder", str(folder), *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    figures = ", ".join(
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in measured.items()
    )
    print(f"{given['cells']:>9,} cells  {step:9} {figures}", flush=True)
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--beside", type=int, default=None, help="cells of the comparison; default a tenth")
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--query", type=int, default=4_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--query-epochs", type=int, default=None, help="default of map_query")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--step", choices=STEPS, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        measured = STEPS[options.step](options.folder, options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
        print(json.dumps({**measured, "peak_GB": peak}))
        return
    warnings.simplefilter("ignore")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        beside = {"cells": options.beside or options.cells // 10, "epochs": 3}
        for step in ("simulate", "store", "train", "query"):
            run(step, folder, options)
        for step in ("simulate", "store", "train", "memory"):
            run(step, folder, options, **beside)


if __name__ == "__main__":
    main()
