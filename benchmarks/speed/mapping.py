"""sp.tl.map_query against scvi-tools' load_query_data and train, 200 epochs, in one run, alternating.

    python benchmarks/speed/mapping.py
    python benchmarks/speed/mapping.py --case 540-zinb --repeats 3
    python benchmarks/speed/mapping.py --data islets.h5ad --query inDrop_Baron --repeats 3
    python benchmarks/speed/mapping.py --case 540-nb 5000-nb --mmd 10
    python benchmarks/speed/mapping.py --strategy input_layers all clcvae --case 540-nb --threads 1
    python benchmarks/speed/mapping.py --strategy input_layers all clcvae --case 5000-nb --epochs 30 --threads 1

Whole calls from AnnData to embedding on both sides. Prints ratios of time with their range; how well the query's
embeddings of the two sides agree (shared 15 nearest neighbours, labels transferred from the reference) beside how well
two seeds of scvi-tools do; and memory at the peak beside that of the counts. scvi-tools maps as scArches recommends (no
weight decay). In the case of 100,000 cells it trains fewer epochs, of which the time of 200 is extrapolated, and
agreement is not measured. With ``--mmd`` both sides pull the query to the reference's anchors; scvi-tools has no such
penalty, so that the other side is ``map_query(engine="scvi")``, lightning's loop with the same penalty. With
``--strategy`` scvi-tools trains the same weights, for ``clcvae`` all of them without the penalty, which it has not.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import anndata
import numpy as np
import scvi
from _common import measured, quiet, write_row
from sklearn.neighbors import NearestNeighbors

import scarches_plus as sp

EPOCHS = 200
SILENT = {"enable_progress_bar": False}
#: What scvi-tools calls a strategy.
FREEZING = {
    "condition": {},
    "input_layers": {"freeze_expression": False, "freeze_decoder_first_layer": False},
    "all": {"unfrozen": True},
    "clcvae": {"unfrozen": True},
}
#: Cells of the query, genes, likelihood, epochs that scvi-tools trains.
CASES = {
    "540-nb": (540, 1160, "nb", EPOCHS),
    "540-zinb": (540, 1160, "zinb", EPOCHS),
    "5000-nb": (5000, 2000, "nb", EPOCHS),
    "5000-zinb": (5000, 2000, "zinb", EPOCHS),
    "100000-nb": (100_000, 2000, "nb", 3),
}


def simulated(n_cells: int, n_genes: int) -> tuple[anndata.AnnData, anndata.AnnData]:
    adata = sp.datasets.simulate([1500, 1500, n_cells], n_genes, 8, n_batches=3, mean_depth=600.0, rng=1)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    return adata[~query].copy(), adata[query].copy()


def theirs(query, model: scvi.model.SCVI, epochs: int, seed: int, strategy="condition") -> tuple[np.ndarray, float]:
    """Return the embedding, and the seconds that training took."""
    query = query.copy()
    scvi.model.SCVI.prepare_query_anndata(query, model)
    mapped = scvi.model.SCVI.load_query_data(query, model, **FREEZING[strategy])
    scvi.settings.seed = seed
    start = perf_counter()
    mapped.train(epochs, plan_kwargs={"weight_decay": 0.0}, **SILENT)
    trained = perf_counter() - start
    return mapped.get_latent_representation(), trained


def ours(query, model, engine: str = "fast", penalties=(), *, strategy="condition", epochs=EPOCHS) -> np.ndarray:
    query = query.copy()
    sp.tl.map_query(
        query,
        model,
        strategy=strategy,
        max_epochs=epochs,
        engine=engine,
        penalties=penalties,
        train_kwargs=SILENT,
    )
    return query.obsm["X_scarches"]


def shared_neighbors(one: np.ndarray, other: np.ndarray, k: int = 15) -> float:
    found = [NearestNeighbors(n_neighbors=k).fit(z).kneighbors(return_distance=False) for z in (one, other)]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(*found, strict=True)]))


def transferred(reference: anndata.AnnData, z: np.ndarray) -> np.ndarray:
    cells, ref = (anndata.AnnData(obsm={"z": part}) for part in (z, reference.obsm["X_scarches"]))
    ref.obs["cell_type"] = reference.obs["cell_type"].to_numpy()
    sp.tl.transfer_labels(cells, ref, "cell_type", use_rep="z", unknown_above=None)
    return cells.obs["cell_type_pred"].to_numpy()


def loop(query: anndata.AnnData, model: scvi.model.SCVI, penalties, seed: int) -> tuple[np.ndarray, float]:
    """Map in lightning's loop with penalties; all of the time counts as training."""
    scvi.settings.seed = seed
    start = perf_counter()
    z = ours(query, model, "scvi", penalties)
    return z, perf_counter() - start


def compare_strategies(name, reference, query, likelihood, epochs, repeats, strategies) -> None:
    """Compare whole calls of as many epochs on both sides."""
    model, network = built(reference, likelihood)
    stock = scvi_model(model, reference, network)
    sp.train.estimate_importance(model, n_cells=500)
    ours(query[:64].copy(), model, epochs=1, strategy="all")  # imports, caches
    for strategy in strategies:
        ratios, cpu_ratios, seconds = [], [], []
        for seed in range(repeats):
            scvi.settings.seed = seed
            our = measured(lambda strategy=strategy: ours(query, model, strategy=strategy, epochs=epochs))
            other = measured(lambda seed=seed, strategy=strategy: theirs(query, stock, epochs, seed, strategy))
            ratios.append(other["seconds"] / our["seconds"])
            cpu_ratios.append(other["cpu"] / our["cpu"])
            seconds.append((our["cpu"], other["cpu"]))
        row = {
            "case": name,
            "strategy": strategy,
            "epochs": epochs,
            "ours_cpu_s": f"{np.median([one for one, _ in seconds]):.1f}",
            "scvi_cpu_s": f"{np.median([other for _, other in seconds]):.1f}",
            "ratio": f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            "cpu_ratio": f"{np.median(cpu_ratios):.2f} ({min(cpu_ratios):.2f} to {max(cpu_ratios):.2f})",
        }
        write_row("mapping_strategies", row)


def built(reference, likelihood):
    scvi.settings.seed = 0
    network = {"gene_likelihood": likelihood}
    model = sp.tl.build_reference(
        reference, "batch", max_epochs=min(100, 400_000 // reference.n_obs), model_kwargs=network, train_kwargs=SILENT
    )
    return model, network


def compare(name, reference, query, likelihood, epochs, repeats, mmd=None) -> None:
    model, network = built(reference, likelihood)
    stock = scvi_model(model, reference, network)
    penalties = ()
    if mmd is not None:
        name, penalties = f"{name}-mmd{mmd:g}", [sp.train.MMD(weight=mmd, anchors=True)]
        sp.train.store_anchors(model)
        epochs = EPOCHS
    scvi.settings.seed = 0
    ours(query[:64].copy(), model)  # imports, caches
    runs: dict[str, list] = {"ours": [], "theirs": []}
    for seed in range(repeats):
        sides = {
            "ours": lambda: ours(query, model, penalties=penalties),
            "theirs": lambda seed=seed: (
                loop(query, model, penalties, seed) if penalties else theirs(query, stock, epochs, seed)
            ),
        }
        for side in list(sides) if seed % 2 else list(sides)[::-1]:
            scvi.settings.seed = 0  # the new columns start the same
            runs[side].append(measured(sides[side]))
    for run in runs["theirs"]:
        run["result"], trained = run["result"]
        whole = run["seconds"] + (EPOCHS / epochs - 1) * trained
        run["cpu"], run["seconds"] = run["cpu"] * whole / run["seconds"], whole
    ratios, cpu_ratios = (
        [other[key] / our[key] for other, our in zip(runs["theirs"], runs["ours"], strict=True)]
        for key in ("seconds", "cpu")
    )
    counts = (query.X.data.nbytes + query.X.indices.nbytes + query.X.indptr.nbytes) / 2**20
    row = {
        "case": name,
        "cells": query.n_obs,
        "genes": query.n_vars,
        "ours_s": f"{np.median([run['seconds'] for run in runs['ours']]):.2f}",
        "scvi_s": f"{np.median([run['seconds'] for run in runs['theirs']]):.1f}",
        "ratio": f"{np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
        "cpu_ratio": f"{np.median(cpu_ratios):.1f} ({min(cpu_ratios):.1f} to {max(cpu_ratios):.1f})",
        "counts_mib": f"{counts:.0f}",
        "peak_mib": f"{max(run['mib'] for run in runs['ours']):.0f}",
    }
    if epochs == EPOCHS and repeats > 1:
        row |= agreement(reference, runs)
    write_row("mapping", row)


def agreement(reference, runs) -> dict[str, str]:
    """Compare embeddings of the two sides, and those of two seeds of scvi-tools from the same start."""
    loop, fast = ([run["result"] for run in runs[side]] for side in ("theirs", "ours"))
    labels = [transferred(reference, z) for z in loop], [transferred(reference, z) for z in fast]
    return {
        "neighbors": f"{np.mean([shared_neighbors(fast[0], z) for z in loop]):.3f}",
        "neighbors_between_seeds": f"{shared_neighbors(loop[0], loop[1]):.3f}",
        "labels": f"{np.mean([np.mean(labels[1][0] == one) for one in labels[0]]):.4f}",
        "labels_between_seeds": f"{np.mean(labels[0][0] == labels[0][1]):.4f}",
    }


def scvi_model(model, reference, network) -> scvi.model.SCVI:
    """Return a plain model of scvi-tools with the same weights."""
    cells = reference.copy()
    scvi.model.SCVI.setup_anndata(cells, batch_key="batch")
    recipe = sp.model.RECIPES["scvi"].model_kwargs
    stock = scvi.model.SCVI(cells, **recipe, **network)
    stock.module.load_state_dict(model.module.state_dict())
    stock.is_trained_ = True
    return stock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--data", type=Path, help="An .h5ad file with obs columns batch and cell_type, instead of simulated cells."
    )
    parser.add_argument("--query", nargs="+", help="Batches of --data to map onto the others.")
    parser.add_argument("--likelihood", nargs="+", default=["nb", "zinb"])
    parser.add_argument("--mmd", type=float, help="Weight of the discrepancy from the reference.")
    parser.add_argument("--strategy", nargs="+", choices=list(FREEZING), help="Compare these, without agreement.")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="Of --strategy.")
    arguments = parser.parse_args()
    quiet(arguments.threads)
    if arguments.data:
        adata = anndata.read_h5ad(arguments.data)
        query = adata.obs["batch"].isin(arguments.query).to_numpy()
        for likelihood in arguments.likelihood:
            name = f"{arguments.data.stem}-{likelihood}"
            compare(
                name, adata[~query].copy(), adata[query].copy(), likelihood, EPOCHS, arguments.repeats, arguments.mmd
            )
        return
    for name in arguments.case:
        n_cells, n_genes, likelihood, epochs = CASES[name]
        if arguments.strategy:
            compare_strategies(
                name,
                *simulated(n_cells, n_genes),
                likelihood,
                arguments.epochs,
                arguments.repeats,
                arguments.strategy,
            )
            continue
        compare(name, *simulated(n_cells, n_genes), likelihood, epochs, arguments.repeats, arguments.mmd)


if __name__ == "__main__":
    main()
