"""Time of map_many with one process and with two, what it survives, and whether the results are the same to the bit.

    python benchmarks/map_many.py
    python benchmarks/map_many.py --queries 16 --turns 3
    python benchmarks/map_many.py --survive    # a killed process and a damaged file, here and on Dask

Simulated queries of 2,000 cells onto a bundle with a summary (label profiles, classifier, map): the whole visit, one
thread each. Seconds of whole calls, start of the processes included, in turns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
import threading
import time
import warnings
from pathlib import Path
from time import perf_counter

import anndata
import numpy as np
import pandas as pd

import scarches_plus as sp


def files(folder, options):
    """Write a bundle and the queries."""
    n_batches = 2 + options.queries
    adata = sp.datasets.simulate(
        n_batches * options.cells, options.genes, 6, n_batches=n_batches, mean_depth=2000.0, batch_effect=0.3, rng=0
    )
    of = adata.obs["batch"].astype(str).to_numpy()
    reference = adata[np.isin(of, ["batch0", "batch1"])].copy()
    model = sp.tl.build_reference(
        reference, "batch", "cell_type", recipe="scvi", max_epochs=10, train_kwargs={"enable_progress_bar": False}
    )
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches")
    sp.hub.save_bundle(model, folder / "bundle", labels_key="cell_type", summary=summary)
    paths = [folder / f"query{i:02}.h5ad" for i in range(options.queries)]
    for i, path in enumerate(paths):
        adata[of == f"batch{i + 2}"].copy().write_h5ad(path)
    return paths


def same(one, other):
    """Return whether all cells of two tables have the same columns, embeddings and places, to the bit."""
    for first, second in zip(one["file"], other["file"], strict=True):
        a, b = anndata.read_h5ad(first), anndata.read_h5ad(second)
        pd.testing.assert_frame_equal(a.obs, b.obs, check_exact=True)
        for key in ("X_scarches", "X_map"):
            np.testing.assert_array_equal(a.obsm[key], b.obsm[key])
    return True


def workers():
    """Return the numbers of the processes that work for this one."""
    lists = (path.read_text().split() for path in Path("/proc/self/task").glob("*/children"))
    found = [int(pid) for pids in lists for pid in pids]
    return [pid for pid in found if "popen_loky" in Path(f"/proc/{pid}/cmdline").read_text()]


def kill_one(out, pids):
    """End one of the processes once some results are there."""
    while len(list(out.glob("*.h5ad"))) < 2:
        time.sleep(0.1)
    os.kill(pids()[0], signal.SIGKILL)


def survive(paths, folder, options, expected):
    """Map all of them and a damaged file, while a process is killed; return how many are done, and their table."""
    damaged = folder / "damaged.h5ad"
    damaged.write_bytes(paths[0].read_bytes()[:100_000])
    given = [*paths[:1], damaged, *paths[1:]]

    def run(name, pids, **how):
        out = folder / name
        killer = threading.Thread(target=kill_one, args=(out, pids))
        killer.start()
        table = sp.tl.map_many(given, folder / "bundle", out=out, max_epochs=options.epochs, **how)
        killer.join()
        done = table[table["status"] == "done"]
        failed = table.loc[table["status"] == "failed", "query"].map(lambda path: Path(path).name).tolist()
        print(f"{name}: a process killed, {len(done)} done, failed: {failed}, same: {same(expected, done)}", flush=True)

    run("processes", workers, n_jobs=2)
    from distributed import Client, LocalCluster

    with LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        run("cluster", lambda: list(client.run(os.getpid).values()), client=client)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--cells", type=int, default=2_000)
    parser.add_argument("--genes", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=None, help="200 by default")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--survive", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp())
    paths, ratios, table = files(folder, options), [], None
    for _ in range(options.turns):
        seconds = {}
        for n_jobs in (1, 2):
            shutil.rmtree(folder / str(n_jobs), ignore_errors=True)
            begun = perf_counter()
            last, table = (
                table,
                sp.tl.map_many(
                    paths, folder / "bundle", out=folder / str(n_jobs), n_jobs=n_jobs, max_epochs=options.epochs
                ),
            )
            seconds[n_jobs] = perf_counter() - begun
            assert (table["status"] == "done").all(), table["message"]
        ratios.append(seconds[1] / seconds[2])
        each = table["seconds"].median()
        print(
            f"{len(paths)} queries of {options.cells} cells: one process {seconds[1]:.0f} s, two {seconds[2]:.0f} s, ratio "
            f"{ratios[-1]:.2f}; a query {each:.1f} s; same: {same(last, table)}; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    if options.survive:
        survive(paths, folder, options, table)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
