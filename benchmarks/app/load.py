"""Load the page's server: 20 visitors at once, and a file of 2 GB.

    python benchmarks/app/load.py [--visitors 20] [--cells 5000] [--gigabytes 2]

Starts ``scarches-plus app`` on a simulated reference of 100,000 cells with a map. Visitors send their cells at one
time, each from a thread. Prints seconds for each job, in which order they were served, and the highest memory
of the server and of its two workers, as Linux has it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import scarches_plus as sp


def atlas(folder, n_cells):
    """Write a reference of 100,000 cells with a map and a query; return both paths."""
    model = sp.load("simulated-scanvi")
    adata = sp.datasets.simulate(212_000, 150, 6, n_batches=4, mean_depth=2000.0, rng=0)
    inside = adata.obs["batch"].isin(model.spec.batches).to_numpy()
    cells, query = adata[inside][:100_000].copy(), adata[~inside][:n_cells].copy()
    sp.tl.embed(cells, model)
    cells.obsm["X_umap"] = cells.obsm["X_scarches"][:, :2].astype(np.float32)
    bundle = sp.hub.save_bundle(
        model, folder / "atlas", reference=cells, include=["latent", "labels", "umap"], labels_key="cell_type",
        summary=sp.tl.reference_summary(cells[:10_000].copy(), "cell_type", "batch", basis=None),
    )  # fmt: skip
    query.write_h5ad(folder / "query.h5ad")
    return bundle, folder / "query.h5ad"


class Memory(threading.Thread):
    """Looks at the memory of a process and of its children, ten times a second."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.server, self.workers, self.ends = pid, 0.0, 0.0, False

    def run(self):
        while not self.ends:
            listing = subprocess.run(
                ["ps", "-o", "pid=,rss=", "-p", str(self.pid), "--ppid", str(self.pid)], capture_output=True, text=True
            ).stdout
            sizes = {int(pid): int(size) / 1024 for pid, size in (line.split() for line in listing.splitlines())}
            self.server = max(self.server, sizes.pop(self.pid, 0.0))
            self.workers = max(self.workers, sum(sizes.values()))
            time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--cells", type=int, default=5_000)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle, query = atlas(Path(folder), given.cells)
        command = [sys.executable, "-W", "ignore", "-c", "from scarches_plus.cli import main; main()"]
        command += ["app", str(bundle), "--folder", f"{folder}/results", "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
            measure(server.pid, sp.app.Client(address), bundle, query, given)
        finally:
            server.terminate()
            server.wait()


def measure(pid, client, bundle, query, given):
    memory = Memory(pid)
    memory.start()
    start = time.perf_counter()

    def visit(_):
        job = client.map(query, str(bundle), batch_key="batch")
        result = client.wait(job)
        return job, result["n_cells"], time.perf_counter() - start

    with ThreadPoolExecutor(given.visitors) as visitors:
        done = list(visitors.map(visit, range(given.visitors)))
    states = {one["id"]: one for one in client.jobs()}
    came = sorted(states.values(), key=lambda one: one["created"])
    served = sorted(states.values(), key=lambda one: one["started"])
    took = [one["ended"] - one["started"] for one in came]
    print(f"{len(done)} of {given.visitors} visitors served, each {done[0][1]} cells, none lost: "
          f"{all(one['status'] == 'done' for one in came)}")  # fmt: skip
    print(f"in the order in which they came: {[one['id'] for one in came] == [one['id'] for one in served]}")
    print(
        f"seconds a job: {min(took):.1f} to {max(took):.1f}, median {np.median(took):.1f}; all of them {max(one[2] for one in done):.0f}"
    )
    print(f"highest memory: server {memory.server:.0f} MB, both workers {memory.workers:.0f} MB")
    memory.server = 0.0
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.csv"
        with large.open("wb") as file:
            for _ in range(int(given.gigabytes * 1024)):
                file.write(b"0," * 2**19)
        start = time.perf_counter()
        try:
            client.check(large, str(bundle))
        except RuntimeError as error:
            print(
                f"{given.gigabytes:g} GB sent in {time.perf_counter() - start:.0f} s, and refused by the reader: {str(error)[:100]}"
            )
    print(f"highest memory of the server meanwhile: {memory.server:.0f} MB")
    memory.ends = True


if __name__ == "__main__":
    main()
