"""Compare ways of placing query cells in the fixed picture of a reference.

    python benchmarks/annotation/placement.py --data-dir data        # real sets: reference and query of other batches
    python benchmarks/annotation/placement.py --data-dir data --only "donors"
    python benchmarks/annotation/placement.py --simulated            # encoder on 50,000 cells
    python benchmarks/annotation/placement.py --million              # seconds on a reference of 1,000,000 points
    python benchmarks/annotation/placement.py --table                # show what was found, and run nothing
    python benchmarks/annotation/placement.py --data-dir data --figure docs/_static/map.png

The second most frequent type of the query is left out of each reference. scVI embeds the reference and maps the query;
umap-learn makes the picture of the reference, which is the same for all methods: ``mean`` and ``median`` of the
positions of 15 neighbours, ``anchors`` (the median on the map without cells), ``parametric`` (3 seeds) and the
``transform`` of umap-learn. A row for each method is appended to ``benchmarks/results/placement.csv``; runs that are
there are not repeated. Columns:

``kept``     share of the 15 nearest reference cells in the latent space that are among the 60 nearest in the picture
``right``    share of known cells whose 15 nearest reference cells in the picture have their label (majority)
``gaps``     share of known cells farther from any reference cell in the picture than 99.9 % of these are from their
             nearest
``unseen_gaps``  the same of cells of the type that the reference lacks
``fit``, ``seconds``  processor seconds to prepare (train the encoder, fit umap-learn's UMAP) and to place

k, kernel and the encoder's settings were chosen with the sets in ``LOOKED_AT``, not with the others.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import anndata
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
import scvi
import umap
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

import scarches_plus as sp

sys.path.append(str(Path(__file__).parent.parent / "surgery"))
sys.path.append(str(Path(__file__).parent))
from _common import QUIET, append, quiet, show
from _scenarios import FEWEST, TASKS, _at_most

RESULTS = Path(__file__).parent.parent / "results" / "placement.csv"
LOOKED_AT = ("PBMC 3' to 5'", "10x to Kang")
SETS = (*LOOKED_AT, "donors", "mouse 1 to 2", "PBMC stimulated", "endocrinogenesis")
MOST = 2500, 1500
SEEDS = 0, 1, 2


def real(data_dir, name):
    """Return reference and query with embeddings; the reference lacks the query's second type."""
    (task,) = (task for task in TASKS if task.name == name)
    reference, query = (_at_most(one, most) for one, most in zip(task.make(data_dir), MOST, strict=True))
    enough = reference.obs["cell_type"].value_counts()
    types = [one for one in query.obs["cell_type"].value_counts().index if enough.get(one, 0) >= FEWEST]
    reference = reference[(reference.obs["cell_type"] != types[1]).to_numpy()].copy()
    if reference.n_vars > 2000:
        normalized = sc.pp.log1p(sc.pp.normalize_total(reference, target_sum=1e4, copy=True), copy=True)
        sc.pp.highly_variable_genes(normalized, n_top_genes=2000)
        genes = reference.var_names[normalized.var["highly_variable"]]
        reference, query = reference[:, genes].copy(), query[:, genes].copy()
    scvi.settings.seed = 0
    model = sp.tl.build_reference(reference, "batch", recipe="scvi", max_epochs=60, train_kwargs=QUIET)
    query.obs["batch"] = query.obs["batch"].astype(str) + " of the query"
    sp.tl.map_query(query, model, max_epochs=40, train_kwargs=QUIET)
    return reference, query


def simulated():
    """Return 50,000 reference and 2,000 query cells of 12 types on principal components; the reference lacks one."""
    adata = sp.datasets.simulate(56_500, 400, 12, n_batches=1, type_effect=0.5, rng=0)
    adata.obs_names_make_unique()
    adata.obsm["X_scarches"] = components(adata)
    unseen = (adata.obs["cell_type"] == "type3").to_numpy()
    of_query = np.zeros(adata.n_obs, dtype=bool)
    of_query[:2000] = True
    rows = np.flatnonzero(~of_query & ~unseen)[:50_000]
    return adata[rows].copy(), adata[of_query].copy()


def components(adata):
    logs = sc.pp.log1p(sc.pp.normalize_total(adata, target_sum=1e4, copy=True), copy=True).X
    return PCA(20, random_state=0).fit_transform(logs.toarray()).astype(np.float32)


def scores(places, picture, reference, query):
    latent = [np.asarray(one.obsm["X_scarches"]) for one in (reference, query)]
    labels, truth = (one.obs["cell_type"].astype(str).to_numpy() for one in (reference, query))
    known = np.isin(truth, labels)
    near = cKDTree(latent[0]).query(latent[1], 15)[1]
    tree = cKDTree(picture)
    shown = tree.query(places, 60)[1]
    kept = np.array([np.isin(one, other).mean() for one, other in zip(near, shown, strict=True)])
    majority = pd.DataFrame(labels[shown[:, :15]]).mode(axis=1)[0].to_numpy()
    apart = np.quantile(tree.query(picture, 2)[0][:, 1], 0.999)
    gaps = tree.query(places)[0] > apart
    return {
        "kept": float(kept[known].mean()), "right": float((majority == truth)[known].mean()),
        "gaps": float(gaps[known].mean()), "unseen_gaps": float(gaps[~known].mean()),
    }  # fmt: skip


def mean_of_neighbors(latent, picture, k=15):
    """Place cells at the weighted mean of their neighbours, with the kernel of the median."""
    distances, indices = NearestNeighbors(n_neighbors=k).fit(picture.latent).kneighbors(latent)
    weights = np.exp(-0.5 * (distances / np.sqrt((distances**2).mean(axis=1, keepdims=True))) ** 2)
    return (picture.points[indices] * weights[:, :, None]).sum(axis=1) / weights.sum(axis=1, keepdims=True)


def methods(reference, query, fitted):
    """Yield the name, the seed, what prepares and what places."""
    latent = np.asarray(query.obsm["X_scarches"])
    picture = sp.tl.reference_map(reference, labels_key="cell_type")

    def place(of, method="neighbors"):
        return sp.tl.place(query, of, method=method, copy=True).obsm["X_map"]

    def train(seed):
        trained = sp.tl.reference_map(reference, parametric=True, rng=seed)
        first, last = trained.losses[[0, -1]]
        print(f"seed {seed}: {len(trained.losses)} epochs, loss {first:.2f} to {last:.2f}", flush=True)
        return trained

    yield "mean", 0, lambda: picture, lambda of: mean_of_neighbors(latent, of)
    yield "median", 0, lambda: picture, place
    yield "anchors", 0, picture.without_cells, place
    for seed in SEEDS:
        yield "parametric", seed, lambda seed=seed: train(seed), lambda of: place(of, "parametric")
    yield "umap-learn", 0, lambda: fitted, lambda of: of.transform(latent)


def compare(name, reference, query):
    """Append a row for each method."""
    start = time.process_time()
    fitted = umap.UMAP(n_neighbors=15, min_dist=0.5, random_state=0, n_jobs=1).fit(reference.obsm["X_scarches"])
    seconds = time.process_time() - start
    reference.obsm["X_umap"] = fitted.embedding_
    for method, seed, prepare, place in methods(reference, query, fitted):
        start = time.process_time()
        prepared = prepare()
        fit = seconds if method == "umap-learn" else time.process_time() - start
        start = time.process_time()
        places = np.asarray(place(prepared))
        row = {
            "data": name, "looked_at": name in LOOKED_AT, "method": method, "seed": seed,
            "n_reference": reference.n_obs, "n_query": query.n_obs, "fit": fit, "seconds": time.process_time() - start,
        }  # fmt: skip
        append(RESULTS, row | scores(places, fitted.embedding_, reference, query))


def million(n=1_000_000, n_query=10_000, d=20, types=30):
    """Time both methods on a reference of 1,000,000 points; the picture is a sum of islands, too."""
    rng = np.random.default_rng(0)
    centers, islands = 4 * rng.normal(size=(types, d)), 10 * rng.normal(size=(types, 2))
    of_type = rng.integers(types, size=n + n_query)
    latent = (centers[of_type] + rng.normal(size=(n + n_query, d))).astype(np.float32)
    points = (islands[of_type] + latent[:, :2] - centers[of_type][:, :2]).astype(np.float32)
    of_label, labels = of_type[:n].astype(np.int32), tuple(map(str, range(types)))
    picture = sp.tl.ReferenceMap(points[:n], latent[:n], np.ones(n, int), of_label, labels, None, "X_umap")
    query = anndata.AnnData(obsm={"X_scarches": latent[n:]})
    start = time.process_time()
    anchors = picture.without_cells()
    print(f"anchors: {len(anchors.points)} from {n:,} points in {time.process_time() - start:.1f} s", flush=True)
    for name, of in {"median": picture, "anchors": anchors}.items():
        start = time.process_time()
        sp.tl.place(query, of)
        seconds = time.process_time() - start
        missed = np.median(np.linalg.norm(query.obsm["X_map"] - points[n:], axis=1))
        print(
            f"{name}: {n_query:,} cells among {n:,} points in {seconds:.1f} s; {missed:.2f} from the truth", flush=True
        )


def figure(path, data_dir):
    """Draw donors in the map of others, whose CD14+ monocytes are left out, and how they cover it."""
    reference, query = real(data_dir, "donors")
    picture = sp.tl.reference_map(reference, labels_key="cell_type")
    sp.tl.place(query, picture)
    sp.tl.detect_novel(query, reference, "cell_type", batch_key="batch")
    print(sp.tl.presence(picture, query, novel_key="novel").round(2).to_string())
    drawn, axes = plt.subplots(1, 3, figsize=(16, 4.6), layout="constrained")
    titles = "reference", "query, novel cells as crosses", "presence of the reference's states in the query"
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=10)
    sp.pl.reference_map(picture, ax=axes[0])
    sp.pl.reference_map(picture, query, novel_key="novel", ax=axes[1])
    sp.pl.reference_map(picture, query, color="presence", ax=axes[2])
    drawn.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--only", nargs="+", help="Names of sets.")
    parser.add_argument("--simulated", action="store_true", help="50,000 simulated cells, too.")
    parser.add_argument("--million", action="store_true", help="Time 1,000,000 points, too.")
    parser.add_argument("--figure", type=Path, help="Draw the figure of the docs.")
    parser.add_argument("--table", action="store_true", help="Show what was found.")
    options = parser.parse_args()
    quiet()
    RESULTS.parent.mkdir(exist_ok=True)
    makers = {name: lambda name=name: real(options.data_dir, name) for name in SETS} if options.data_dir else {}
    makers |= {"simulated, 50,000": simulated} if options.simulated else {}
    done = set(pd.read_csv(RESULTS)["data"]) if RESULTS.exists() else set()
    for name, make in makers.items():
        if not (options.table or options.figure) and name not in done and (not options.only or name in options.only):
            compare(name, *make())
    if options.million:
        million()
    if options.figure:
        figure(options.figure, options.data_dir)
    if RESULTS.exists():
        table = pd.read_csv(RESULTS)
        for column in ("kept", "right", "gaps", "unseen_gaps", "fit", "seconds"):
            show(table.pivot_table(index=["looked_at", "data"], columns="method", values=column), column)
        spread = (
            table[table["method"] == "parametric"].groupby("data")[["kept", "right", "gaps", "unseen_gaps"]].agg(np.ptp)
        )
        show(spread, "parametric: range over seeds")


if __name__ == "__main__":
    main()
