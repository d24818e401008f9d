"""Vary layers, latent dimensions, genes and k, one at a time, and see how much mapping and labels change.

    python benchmarks/robustness.py                                       # simulated cells and pbmc68k, three seeds
    python benchmarks/robustness.py --data-dir DATA --only islets pbmc    # real studies, files named in FILES

scVI by recipe "scvi" (2 layers of 128, 10 dimensions), query mapped by surgery; scArches, Fig. S1 and S6. Printed:
means over seeds of the accuracy of transferred labels, of KNI, and of the mixing of reference and query by entropy;
below them the largest distance between two seeds of the default: what lies within it says nothing.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
import scvi

import scarches_plus as sp

sys.path.append(str(Path(__file__).parent / "surgery"))
from _common import QUIET, quiet, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anndata import AnnData

#: Name: file and batches of the query.
FILES = {
    "islets": ("islets_3tech_plus.h5ad", ["inDrop_Baron"]),
    "pbmc": ("pbmc_6batch.h5ad", ["sym_3pv1", "sym_3pv2", "sym_5p"]),
}
DEFAULT = {"n_layers": 2, "n_latent": 10, "n_genes": None, "k": 50}
VARIED = {
    "n_layers": (1, 2, 4),
    "n_latent": (5, 10, 20, 50),
    "n_genes": (250, 500, None),
    "k": (5, 15, 50, 100, 200),
}


def simulated(seed: int, n_genes: int | None) -> tuple[AnnData, AnnData]:
    cells = sp.datasets.simulate(1800, 1000, 8, n_batches=3, batch_effect=0.6, mean_depth=2000.0, rng=seed)
    return parted(cells, ["batch2"], n_genes)


def pbmc68k(_: int, n_genes: int | None) -> tuple[AnnData, AnnData]:
    return parted(sp.datasets.pbmc68k(), ["lane6", "lane7", "lane8"], n_genes)


def parted(cells: AnnData, query_batches: list[str], n_genes: int | None) -> tuple[AnnData, AnnData]:
    """Return reference and query on the genes that vary most within the reference's batches."""
    of_query = cells.obs["batch"].isin(query_batches).to_numpy()
    reference, query = cells[~of_query].copy(), cells[of_query].copy()
    if n_genes is None:
        return reference, query
    genes = list(sp.pp.select_genes(reference, "batch", n=n_genes).genes)
    return reference[:, genes].copy(), query[:, genes].copy()


def real(folder: Path, name: str, _: int, n_genes: int | None) -> tuple[AnnData, AnnData]:
    file, query = FILES[name]
    return parted(anndata.read_h5ad(folder / file), query, n_genes)


def mapped(reference: AnnData, query: AnnData, seed: int, epochs: int, **sizes: int) -> None:
    scvi.settings.seed = seed
    model = sp.tl.build_reference(
        reference, "batch", recipe="scvi", model_kwargs=sizes, max_epochs=epochs, train_kwargs=QUIET
    )
    sp.tl.map_query(query, model, max_epochs=epochs, train_kwargs=QUIET)


def scored(reference: AnnData, query: AnnData, k: int) -> dict[str, float]:
    sp.tl.transfer_labels(query, reference, "cell_type", k=k, unknown_above=None)
    truth = query.obs["cell_type"].astype(str)
    known = truth.isin(reference.obs["cell_type"].astype(str).unique()) & (truth != "Unknown")
    joint = sp.tl.joint_embedding(reference, query)
    embedding, role = joint.obsm["X_scarches"], joint.obs["mapping_role"]
    return {
        "accuracy": float((query.obs["cell_type_pred"].astype(str) == truth)[known].mean()),
        "KNI": sp.metrics.kni(embedding, joint.obs["batch"], joint.obs["cell_type"], k=k).score,
        "mixing": sp.metrics.entropy_batch_mixing(embedding, role, k=k, normalize=True),
    }


def rows(name: str, make: Callable, seed: int, epochs: int) -> Iterator[dict]:
    """Yield the scores of every setting; those that differ in k alone share a mapping."""
    done = {}
    for what, values in VARIED.items():
        for value in values:
            settings = {**DEFAULT, what: value}
            k, n_genes = settings.pop("k"), settings.pop("n_genes")
            key = (n_genes, *settings.values())
            if key not in done:
                done[key] = make(seed, n_genes)
                mapped(*done[key], seed, epochs, **settings)
            shown = "all" if value is None else value
            default = "default" if value == DEFAULT[what] else ""
            yield {"data": name, "varied": what, "value": shown, "": default, "seed": seed, **scored(*done[key], k)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--only", nargs="+", default=["simulated", "pbmc68k"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args()
    quiet()
    sets = {"simulated": simulated, "pbmc68k": pbmc68k}
    sets |= {name: partial(real, options.data_dir, name) for name in FILES} if options.data_dir else {}
    for name in options.only:
        found = [row for seed in options.seeds for row in rows(name, sets[name], seed, options.epochs)]
        table = pd.DataFrame(found)
        scores = ["accuracy", "KNI", "mixing"]
        means = table.groupby(["varied", "value", ""], sort=False)[scores].mean()
        default = table[(table["varied"] == "n_layers") & (table[""] == "default")].groupby("seed")[scores].mean()
        means.loc[("seeds of the default", "differ by", ""), :] = np.ptp(default.to_numpy(), axis=0)
        show(means, f"{name}, {len(options.seeds)} seeds, {options.epochs} epochs")


if __name__ == "__main__":
    main()
