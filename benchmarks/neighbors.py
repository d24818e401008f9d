"""Exact search against approximate libraries: recall, seconds, memory and size of the saved index.

    python benchmarks/neighbors.py [--cells 100000 1000000] [--queries 100000] [--libraries exact faiss-ivf ...]

Reference cells lie as latent spaces have them: 80 types of very unequal size, each spread over a few directions of its
own (2 to 12 of 20, by falling amounts, in noise), a quarter of them stretched along a bent line as cells that mature.
Of the query, half comes from the same types, 45 % from types moved by half their spread as an unseen batch is, and 5 %
from types that the reference lacks. ``--flat`` puts one Gaussian in their place, in which nothing can be left out.

Each library runs in a process of its own with two threads. What trades recall for time (probes, width of the beam) is
the least of its values by which 1,000 other queries reach a recall at 50 of 0.99. "recall" counts neighbours no farther
than the true k-th one; CPU seconds tell more than seconds where others
work; memory is the peak above what the process held with library and cells loaded.
Libraries that are not installed are left out: pip install faiss-cpu usearch hnswlib.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = 2
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(THREADS))

import numpy as np  # noqa: E402

DIMENSIONS, TYPES, NEW_TYPES, K, TARGET = 20, 80, 6, 50, 0.99
_BLOCK = 500_000


class World:
    """Types of cells in a latent space."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        n = TYPES + NEW_TYPES
        self.centers = 2.5 * rng.normal(size=(n, DIMENSIONS))
        self.share = np.append(rng.lognormal(sigma=1.5, size=TYPES), np.zeros(NEW_TYPES))
        self.share /= self.share.sum()
        rank, spread = rng.integers(2, 13, size=n), rng.lognormal(sigma=0.4, size=n)
        falling = 0.8 ** np.arange(12) * (np.arange(12) < rank[:, None])
        self.loadings = (spread[:, None] * falling)[..., None] * rng.normal(size=(n, 12, DIMENSIONS)) / np.sqrt(5)
        self.moves = np.einsum("nr,nrd->nd", rng.normal(size=(n, 12)), self.loadings) / 2
        self.bends = np.where(rng.random(n) < 0.25, 3.0, 0.0)[:, None, None] * rng.normal(size=(n, 2, DIMENSIONS)) / 2

    def cells(self, types, rng, moved=False):
        factors = rng.normal(size=(len(types), 12)).astype(np.float32)
        cells = 0.15 * rng.normal(size=(len(types), DIMENSIONS)).astype(np.float32)
        for one in np.unique(types):
            rows = np.flatnonzero(types == one)
            along = rng.random(len(rows))[:, None] - 0.5
            cells[rows] += self.centers[one] + factors[rows] @ self.loadings[one] + along * self.bends[one, 0]
            cells[rows] += along**2 * self.bends[one, 1] + moved * self.moves[one]
        return cells

    def reference(self, n, flat, path, seed=1):
        """Write cells as float32 and their types."""
        rng = np.random.default_rng(seed)
        out = np.lib.format.open_memmap(path, "w+", np.float32, (n, DIMENSIONS))
        types = rng.choice(len(self.share), n, p=self.share).astype(np.int16)
        for start in range(0, n, _BLOCK):
            rows = slice(start, start + _BLOCK)
            out[rows] = rng.normal(size=out[rows].shape) if flat else self.cells(types[rows], rng)
        out.flush()
        return types

    def query(self, n, flat, path, seed=2):
        rng = np.random.default_rng(seed)
        out = np.lib.format.open_memmap(path, "w+", np.float32, (n, DIMENSIONS))
        for start in range(0, n, _BLOCK):
            rows = slice(start, min(start + _BLOCK, n))
            size = rows.stop - rows.start
            kind, types = rng.random(size), rng.choice(len(self.share), size, p=self.share)
            types[kind > 0.95] = rng.integers(TYPES, TYPES + NEW_TYPES, size=(kind > 0.95).sum())
            if flat:
                out[rows] = rng.normal(size=(size, DIMENSIONS))
            else:
                out[rows][kind < 0.5] = self.cells(types[kind < 0.5], rng)
                out[rows][kind >= 0.5] = self.cells(types[kind >= 0.5], rng, moved=True)
        out.flush()


class Ours:
    module, efforts = "scarches_plus._neighbors._exact", [None]

    def build(self, cells):
        self.index = importlib.import_module(self.module).Exact(cells, THREADS)

    def query(self, cells, k, effort):
        return self.index.query(cells, k)[0]

    def save(self, path):
        with path.open("wb") as file:
            np.savez(file, **self.index.save())


class FaissIVF:
    module, efforts = "faiss", [2, 4, 8, 16, 32, 64, 128, 256]

    def build(self, cells):
        import faiss

        faiss.omp_set_num_threads(THREADS)
        self.faiss = faiss
        n_lists = 2 ** round(np.log2(4 * np.sqrt(len(cells))))
        self.index = faiss.IndexIVFFlat(faiss.IndexFlatL2(DIMENSIONS), DIMENSIONS, n_lists)
        self.index.train(cells[:: max(1, len(cells) // (64 * n_lists))])
        self.index.add(cells)

    def query(self, cells, k, effort):
        self.index.nprobe = effort
        return self.index.search(cells, k)[1]

    def save(self, path):
        self.faiss.write_index(self.index, str(path))


class FaissHNSW(FaissIVF):
    module, efforts = "faiss", [50, 75, 100, 150, 200, 300, 500, 800]

    def build(self, cells):
        import faiss

        faiss.omp_set_num_threads(THREADS)
        self.faiss = faiss
        self.index = faiss.IndexHNSWFlat(DIMENSIONS, 16)
        self.index.hnsw.efConstruction = 128
        self.index.add(cells)

    def query(self, cells, k, effort):
        self.index.hnsw.efSearch = effort
        return self.index.search(cells, k)[1]


class HNSWlib:
    module, efforts = "hnswlib", [50, 75, 100, 150, 200, 300, 500, 800]

    def build(self, cells):
        import hnswlib

        self.index = hnswlib.Index("l2", DIMENSIONS)
        self.index.init_index(len(cells), M=16, ef_construction=128, random_seed=0)
        self.index.add_items(cells, num_threads=THREADS)

    def query(self, cells, k, effort):
        self.index.set_ef(effort)
        return self.index.knn_query(cells, k, num_threads=THREADS)[0]

    def save(self, path):
        self.index.save_index(str(path))


class USearch:
    module, efforts = "usearch", [50, 75, 100, 150, 200, 300, 500, 800]

    def build(self, cells):
        from usearch.index import Index

        self.index = Index(ndim=DIMENSIONS, metric="l2sq", dtype="f32", connectivity=16, expansion_add=128)
        self.index.add(np.arange(len(cells)), cells, threads=THREADS)

    def query(self, cells, k, effort):
        self.index.expansion_search = effort
        return self.index.search(cells, k, threads=THREADS).keys.astype(np.int64)

    def save(self, path):
        self.index.save(str(path))


class PyNNDescent:
    module, efforts = "pynndescent", [0.1, 0.2, 0.3, 0.4]

    def build(self, cells):
        from pynndescent import NNDescent

        self.index = NNDescent(cells, n_neighbors=30, random_state=0, n_jobs=THREADS)
        self.index.prepare()

    def query(self, cells, k, effort):
        return self.index.query(cells, k=k, epsilon=effort)[0]

    def save(self, path):
        import pickle

        path.write_bytes(pickle.dumps(self.index))


LIBRARIES = {
    "exact": Ours, "faiss-ivf": FaissIVF, "faiss-hnsw": FaissHNSW, "hnswlib": HNSWlib, "usearch": USearch,
    "pynndescent": PyNNDescent,
}  # fmt: skip


def distances(query, reference, indices):
    found = np.where(indices < 0, 0, indices)
    out = np.empty(found.shape)
    for start in range(0, len(query), 2000):
        rows = slice(start, start + 2000)
        difference = reference[found[rows]].astype(float) - query[rows, None].astype(float)
        out[rows] = np.sqrt((difference**2).sum(axis=2))
    out[indices < 0] = np.inf
    return np.sort(out, axis=1)


def recall(found, truth, k):
    return float((found[:, :k] <= truth[:, k - 1 : k] * (1 + 1e-6)).mean())


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(function, *args):
    """Return seconds, CPU seconds of all threads, and the result."""
    start, cpu = time.perf_counter(), time.process_time()
    result = function(*args)
    return time.perf_counter() - start, time.process_time() - cpu, result


def run(name, folder):
    """Measure one library; in a process of its own."""
    importlib.import_module(LIBRARIES[name].module)
    reference = np.load(folder / "reference.npy")
    query, tune = np.load(folder / "query.npy"), np.load(folder / "tune.npy")
    library, before = LIBRARIES[name](), peak_mib()
    build, build_cpu, _ = timed(library.build, reference)
    truth = np.load(folder / "tune_distances.npy") if name != "exact" else None
    effort = library.efforts[0]
    if truth is not None:
        for effort in library.efforts:
            reached = recall(distances(tune, reference, library.query(tune, K, effort)), truth, K)
            if reached >= TARGET:
                break
    seconds, cpu, indices = timed(library.query, query, K, effort)
    peak = peak_mib() - before
    found = distances(query, reference, indices)
    if name == "exact":
        np.save(folder / "distances.npy", found)
        tune_truth = distances(tune, reference, library.query(tune, K, None))
        np.save(folder / "tune_distances.npy", tune_truth)
    expected = np.load(folder / "distances.npy")
    path = folder / "index"
    library.save(path)
    return {
        "library": name, "effort": effort, "recall@15": recall(found, expected, 15),
        "recall@50": recall(found, expected, K), "build s": build, "build CPU s": build_cpu,
        "query s": seconds, "query CPU s": cpu, "peak MiB": peak,
        "index MiB": path.stat().st_size / 2**20,
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--run", nargs=2, metavar=("LIBRARY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.run[0], Path(options.run[1]))))
        return
    for n in options.cells:
        with tempfile.TemporaryDirectory() as temporary:
            folder, world = Path(temporary), World()
            world.reference(n, options.flat, folder / "reference.npy")
            world.query(options.queries, options.flat, folder / "query.npy")
            world.query(1000, options.flat, folder / "tune.npy", seed=3)
            print(f"{n:,} cells, {options.queries:,} queries, load {os.getloadavg()[0]:.1f}", flush=True)
            for name in dict.fromkeys(["exact", *options.libraries]):
                command = [sys.executable, __file__, "--run", name, str(folder)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"  {name}: {done.stderr.strip().splitlines()[-1]}", flush=True)
                    continue
                row = json.loads(done.stdout.splitlines()[-1])
                figures = (f"{key} {value:.4g}" for key, value in row.items() if key not in {"library", "effort"})
                print(f"  {name:12} effort {row['effort']}: {', '.join(figures)}", flush=True)


if __name__ == "__main__":
    main()
