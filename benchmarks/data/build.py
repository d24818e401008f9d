"""Make the sets of cells that the guide's tables use, from public files.

    python benchmarks/data/build.py --out data/             # all that can be made
    python benchmarks/data/build.py --out data/ islets_3tech_plus kang_ctrl_8donors

The first run downloads 400 MB (``sp.datasets.pancreas``, ``kang``, ``pbmc3k``). Counts lie in ``X``, ``obs["batch"]``
and ``obs["cell_type"]`` are there. The sets that the tables were measured on came from other copies of the same
studies, cut by others: what is made here has their batches, types and numbers of cells, drawn by a fixed seed, and so
the same questions, not the same digits. ``kang_ctrl_8donors`` is all control cells of its study; only its genes are
chosen here.

=================== ==========================================================================================
islets_3tech_plus   three technologies; delta, macrophage and activated stellate cells in inDrop only
demo_islets         the same three technologies, three types
kang_ifnb1k         control and stimulated cells, five types
demo_kang_ifnb      the same cells, 1,500 genes
kang_ctrl_8donors   control cells of eight donors, eight types
pbmc_3batch         PBMC 3k, Kang control, Kang stimulated; 949 cells of Kang without a label
=================== ==========================================================================================

Not made: ``pbmc_6batch`` has three runs besides whose published address could not be verified (the example data of
Symphony); ``baron_mouse`` is GSE84133 and ``endocrinogenesis739`` part of GSE132188, which GEO has in files of their
own.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import anndata
import numpy as np
import scanpy as sc

import scarches_plus as sp

#: Cells of each batch and type. ``None`` takes all.
ISLETS = {
    "FluidigmC1_Lawlor": {"alpha": 100, "beta": 100, "ductal": 28},
    "SmartSeq2_Segerstolpe": {"alpha": 100, "beta": 100, "ductal": 165},
    "inDrop_Baron": {
        "ductal": 169, "beta": 134, "alpha": 132, "activated_stellate": 35, "delta": 35, "macrophage": 35,
    },
}  # fmt: skip
TECHNOLOGIES = {
    "fluidigmc1": "FluidigmC1_Lawlor",
    "smartseq2": "SmartSeq2_Segerstolpe",
    **{f"inDrop{i}": "inDrop_Baron" for i in (1, 2, 3, 4)},
}
KANG = {
    "ctrl": {"CD14+ Monocytes": 151, "CD4 T cells": 135, "FCGR3A+ Monocytes": 46, "B cells": 36, "CD8 T cells": 23},
    "stim": {"CD4 T cells": 171, "CD14+ Monocytes": 153, "B cells": 45, "FCGR3A+ Monocytes": 42, "CD8 T cells": 30},
}
SHORT = {
    "B cells": "B", "CD14+ Monocytes": "CD14 Mono", "CD14+ Mono": "CD14 Mono", "FCGR3A+ Monocytes": "CD16 Mono",
    "FCGR3A+ Mono": "CD16 Mono", "CD4 T cells": "CD4 T", "CD4 T": "CD4 T", "Memory CD4 T": "CD4 T", "Naive CD4 T": "CD4 T",
    "CD8 T cells": "CD8 T", "CD8 T": "CD8 T", "NK cells": "NK", "NK": "NK", "Dendritic cells": "DC", "DC": "DC",
    "Megakaryocytes": "Mk", "Platelet": "Mk", "B": "B",
}  # fmt: skip
#: Cells of Kang in ``pbmc_3batch``, and how many of them have no label there.
IN_THREE = {"ctrl": (1355, 44), "stim": (1402, 905)}
SEED = 0


def drawn(adata: anndata.AnnData, numbers: dict[str, dict[str, int]]) -> anndata.AnnData:
    """Draw so many cells of each batch and type, as many as there are."""
    rng = np.random.default_rng(SEED)
    batches, types = (adata.obs[key].astype(str).to_numpy() for key in ("batch", "cell_type"))
    rows = [
        rng.permutation(np.flatnonzero((batches == batch) & (types == name)))[:size]
        for batch, sizes in numbers.items()
        for name, size in sizes.items()
    ]
    return adata[np.sort(np.concatenate(rows))].copy()


def most_variable(adata: anndata.AnnData, n_genes: int) -> anndata.AnnData:
    """Keep the genes that vary most, by dispersion of log counts."""
    logged = sc.pp.normalize_total(adata, target_sum=1e4, copy=True)
    sc.pp.log1p(logged)
    sc.pp.highly_variable_genes(logged, n_top_genes=min(n_genes, adata.n_vars))
    return adata[:, logged.var["highly_variable"].to_numpy()].copy()


def bare(adata: anndata.AnnData, *columns: str) -> anndata.AnnData:
    """Keep counts and the columns that the benchmarks read."""
    obs = adata.obs[["cell_type", "batch", *columns]].astype(str)
    return anndata.AnnData(adata.X.astype(np.float32), obs, adata.var[[]])


def islets(cache, n_genes, numbers):
    adata = sp.datasets.pancreas(cache_dir=cache)
    adata = adata[adata.obs["batch"].isin(TECHNOLOGIES).to_numpy()].copy()
    adata.X = adata.layers["counts"].copy()
    values = adata.X.data if hasattr(adata.X, "data") and not isinstance(adata.X, np.ndarray) else adata.X
    np.round(values, out=values)  # RSEM's expected counts of Fluidigm C1
    adata.obs["batch"] = adata.obs["batch"].astype(str).map(TECHNOLOGIES)
    return bare(most_variable(drawn(adata, numbers), n_genes))


def islets_3tech_plus(cache):
    return islets(cache, 1160, ISLETS)


def demo_islets(cache):
    three = {name: {one: min(100, n) if one != "ductal" else n for one, n in sizes.items() if one in {"alpha", "beta", "ductal"}}
             for name, sizes in ISLETS.items()}  # fmt: skip
    return islets(cache, 1213, three)


def kang_ifnb1k(cache):
    adata = drawn(sp.datasets.kang(cache_dir=cache), KANG)
    sc.pp.filter_genes(adata, min_cells=1)
    return bare(adata)


def demo_kang_ifnb(cache):
    return most_variable(kang_ifnb1k(cache), 1500)


def kang_ctrl_8donors(cache):
    adata = sp.datasets.kang(cache_dir=cache)
    adata = adata[(adata.obs["batch"] == "ctrl").to_numpy()].copy()
    donors = adata.obs["replicate"].astype(str).str.extract(r"(\d+)$")[0]
    adata.obs["batch"] = ("donor_" + donors).to_numpy()
    return bare(most_variable(adata, 1287))


def pbmc_3batch(cache):
    rng = np.random.default_rng(SEED)
    parts = [sp.datasets.pbmc3k(cache_dir=cache)]
    kang = sp.datasets.kang(cache_dir=cache)
    for batch, (size, hidden) in IN_THREE.items():
        rows = rng.permutation(np.flatnonzero(kang.obs["batch"] == batch))[:size]
        part = kang[rows].copy()
        part.obs["batch"] = f"kang_{batch}"
        part.obs["cell_type"] = part.obs["cell_type"].astype(str)
        part.obs.iloc[:hidden, part.obs.columns.get_loc("cell_type")] = "Unknown"
        parts.append(part)
    for part in parts:
        part.obs["cell_type_original"] = part.obs["cell_type"].astype(str)
        part.obs["cell_type"] = part.obs["cell_type_original"].map(lambda name: SHORT.get(name, name))
        part.var_names_make_unique()
        part.obs_names = part.obs["batch"].astype(str) + "_" + part.obs_names
    joined = anndata.concat(parts, join="inner")
    sc.pp.filter_genes(joined, min_cells=10)
    return bare(joined, "cell_type_original")


SETS = {
    one.__name__: one
    for one in (islets_3tech_plus, demo_islets, kang_ifnb1k, demo_kang_ifnb, kang_ctrl_8donors, pbmc_3batch)
}


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--cache", type=Path, help="folder of the downloads")
    options = parser.parse_args(given)
    if unknown := set(options.sets) - set(SETS):
        parser.error(f"no such sets: {', '.join(sorted(unknown))}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adata = SETS[name](options.cache)
        path = options.out / f"{name}.h5ad"
        adata.write_h5ad(path)
        print(f"{path}: {adata.n_obs} cells x {adata.n_vars} genes", flush=True)


if __name__ == "__main__":
    main()
