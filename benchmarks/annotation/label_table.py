"""Compare label transfer by the vote, expression, their consensus, scANVI's classifier, CellTypist and cellmapper.

    python benchmarks/annotation/label_table.py                      # simulated cells
    python benchmarks/annotation/label_table.py --data-dir data      # and real data
    python benchmarks/annotation/label_table.py --table              # show what was found, and run nothing

``vote`` is the paper's kernel, ``expression`` sp.tl.annotate,
``consensus`` sp.tl.transfer_labels with a classifier beside the vote, ``mixture`` and ``mixture, consensus`` the same
by the model's summary instead of cells, ``scanvi`` the classifier of a scANVI model, ``celltypist`` and ``cellmapper``
those packages, where they are installed. Accuracy, macro F1 and expected calibration error on cells of types that the
reference has; seconds of the method alone (not of the model's training). Every seed draws its own cells. A row per
method is appended to ``benchmarks/results/label_table.csv``; runs that are there are not repeated. Settings of the
package were chosen with the sets in ``LOOKED_AT``, not with the others.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scvi
from scipy import sparse
from sklearn.metrics import f1_score

import scarches_plus as sp

sys.path.append(str(Path(__file__).parent.parent / "surgery"))
from _common import QUIET, append, quiet, show

RESULTS = Path(__file__).parent.parent / "results" / "label_table.csv"
ISLETS, DEMO, SIX = "islets_3tech_plus.h5ad", "demo_islets.h5ad", "pbmc_6batch.h5ad"
DONORS, MOUSE, THREE = "kang_ctrl_8donors.h5ad", "baron_mouse.h5ad", "pbmc_3batch.h5ad"
#: Name: file and batches of the query (all others are the reference).
REAL = {
    "islets to inDrop": (ISLETS, ["inDrop_Baron"]),
    "islets to C1": (ISLETS, ["FluidigmC1_Lawlor"]),
    "islets to Smart-seq2": (ISLETS, ["SmartSeq2_Segerstolpe"]),
    "demo islets to C1": (DEMO, ["FluidigmC1_Lawlor"]),
    "PBMC to Kang": (SIX, ["kang_ctrl", "kang_stim"]),
    "PBMC to 5'": (SIX, ["sym_5p"]),
    "PBMC to 3k": (SIX, ["pbmc3k"]),
    "PBMC to stimulated": (THREE, ["kang_stim"]),
    "donors to 101": (DONORS, ["donor_101"]),
    "donors to 107": (DONORS, ["donor_107"]),
    "donors to 1039": (DONORS, ["donor_1039"]),
    "mouse 1 to 2": (MOUSE, ["mouse2"]),
    "mouse 2 to 1": (MOUSE, ["mouse1"]),
    "human to mouse": ((ISLETS, MOUSE), []),
}
SIMULATED = {"simulated, shift 0.6": 0.6, "simulated, shift 1.0": 1.0}
#: Sets that were looked at (seed 0) while settings were chosen.
LOOKED_AT = (
    "islets to inDrop", "islets to C1", "PBMC to Kang", "PBMC to 5'", "donors to 101", "mouse 1 to 2",
    "simulated, shift 1.0",
)  # fmt: skip


def simulated(shift, seed):
    adata = sp.datasets.simulate(1800, 1000, 8, n_batches=3, batch_effect=shift, rng=seed)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    return adata[~query].copy(), adata[query].copy()


def real(data_dir, name, most_cells, seed):
    file, batches = REAL[name]
    if isinstance(file, tuple):
        reference, query = (anndata.read_h5ad(data_dir / one) for one in file)
        query.var_names = query.var_names.str.upper()
        query = query[:, ~query.var_names.duplicated()]
    else:
        adata = anndata.read_h5ad(data_dir / file)
        of_query = adata.obs["batch"].isin(batches).to_numpy()
        if not of_query.any():
            message = f"{file}: no batch of {batches} among {sorted(adata.obs['batch'].unique())}"
            raise SystemExit(message)
        reference, query = adata[~of_query], adata[of_query]
    shared = reference.var_names.intersection(query.var_names)
    return tuple(subsample(cells[:, shared], most_cells, seed) for cells in (reference, query))


def subsample(cells, most_cells, seed):
    cells = cells[(cells.obs["cell_type"] != "Unknown").to_numpy()]
    rows = np.sort(np.random.default_rng(seed).permutation(cells.n_obs)[:most_cells])
    part = cells[rows].copy()
    part.X = sparse.csr_matrix(part.X).astype(np.float32)
    part.obs["cell_type"] = part.obs["cell_type"].astype(str)
    part.obs["batch"] = part.obs["batch"].astype(str)
    return part


def variable_genes(reference):
    """Return the 2,000 genes that vary most in the reference, for models."""
    if reference.n_vars <= 2000:
        return reference.var_names
    normal = sc.pp.normalize_total(reference, target_sum=1e4, copy=True)
    sc.pp.log1p(normal)
    sc.pp.highly_variable_genes(normal, n_top_genes=2000)
    return reference.var_names[normal.var["highly_variable"]]


def normalized(cells):
    cells = anndata.AnnData(cells.X.copy(), cells.obs[["cell_type"]].copy(), cells.var[[]].copy())
    cells.obs_names_make_unique()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    return cells


def methods(reference, query, seed, options):
    """Return name to a function that gives labels and their probabilities."""
    hidden = query.copy()
    hidden.obs["cell_type"] = "hidden"
    fitted = {}

    def given(cells):
        return cells.obs["cell_type_pred"].astype(str).to_numpy(), 1 - cells.obs["cell_type_uncertainty"].to_numpy()

    def expression():
        sp.tl.annotate(hidden, reference, "cell_type", batch_key="batch", unknown_above=None)
        return given(hidden)

    found = {"expression": expression}
    if find_spec("celltypist"):

        def celltypist():
            import celltypist as ct

            one, other = normalized(reference), normalized(hidden)
            many = one.n_vars > 2000
            # by gradient descent: its other solver needs scikit-learn < 1.8
            model = ct.train(one, "cell_type", use_SGD=True, feature_selection=many, top_genes=300, n_jobs=1)
            table = ct.annotate(other, model).probability_matrix
            return table.idxmax(axis=1).to_numpy(), table.max(axis=1).to_numpy()

        found["celltypist"] = celltypist
    if not options.epochs:
        return found
    genes = variable_genes(reference)
    ref, mapped = reference[:, genes].copy(), hidden[:, genes].copy()
    kwargs = {"max_epochs": options.epochs, "train_kwargs": QUIET}

    def trained(recipe, cells):
        scvi.settings.seed = seed
        model = sp.tl.build_reference(ref, "batch", "cell_type", recipe=recipe, **kwargs)
        if recipe == "scvi":
            sp.train.summarize_reference(model, "cell_type")
        scvi.settings.seed = seed
        return sp.tl.map_query(cells, model, **kwargs)

    if options.scanvi:
        soft = trained("scanvi", mapped.copy()).predict(soft=True)
        found["scanvi"] = lambda: (soft.idxmax(axis=1).to_numpy(), soft.to_numpy().max(axis=1))
    model = trained("scvi", mapped)
    sp.tl.embed(ref, model)

    def vote(which=None, **kwargs):
        sp.tl.transfer_labels(mapped, ref if which is None else which, "cell_type", unknown_above=None, **kwargs)
        return given(mapped)

    def classifier():
        if "classifier" not in fitted:
            fitted["classifier"] = sp.tl.expression_classifier(
                ref, "cell_type", batch_key="batch", use_rep="X_scarches"
            )
        return fitted["classifier"]

    found["vote"] = vote
    found["consensus"] = lambda: vote(classifier=classifier())
    found["mixture"] = lambda: vote(model)
    found["mixture, consensus"] = lambda: vote(model, classifier=classifier())
    if find_spec("cellmapper") and options.peers:

        def cellmapper():
            from cellmapper import CellMapper

            one, other = normalized(reference), normalized(hidden)
            one.obs["cell_type"] = one.obs["cell_type"].astype("category")
            mapper = CellMapper(other, one)
            mapper.compute_fast_cca(n_comps=min(30, other.n_obs - 1), random_state=seed)
            mapper.map(obs_keys="cell_type", use_rep="X_cca")
            return other.obs["cell_type_pred"].astype(str).to_numpy(), other.obs["cell_type_conf"].to_numpy(float)

        found["cellmapper"] = cellmapper
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--only", nargs="+", help="Names of data sets.")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=100, help="0 leaves out what needs a model.")
    parser.add_argument("--cells", type=int, default=2500, help="Most cells of references and of queries.")
    parser.add_argument("--no-scanvi", dest="scanvi", action="store_false", help="Train no scANVI model.")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="Leave out cellmapper.")
    parser.add_argument("--table", action="store_true", help="Show what was found.")
    options = parser.parse_args()
    quiet()
    RESULTS.parent.mkdir(exist_ok=True)
    sets = {name: lambda seed, shift=shift: simulated(shift, seed) for name, shift in SIMULATED.items()}
    if options.data_dir:
        sets |= {name: lambda seed, name=name: real(options.data_dir, name, options.cells, seed) for name in REAL}
    for seed in [] if options.table else options.seeds:
        for name, make in sets.items():
            if options.only and name not in options.only:
                continue
            done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["data", "seed", "epochs"])
            if ((done["data"] == name) & (done["seed"] == seed) & (done["epochs"] == options.epochs)).any():
                continue
            reference, query = make(seed)
            truth = query.obs["cell_type"].astype(str).to_numpy()
            known = np.isin(truth, reference.obs["cell_type"].astype(str).unique())
            for method, label in methods(reference, query, seed, options).items():
                start = time.perf_counter()
                labels, sure = label()
                seconds = time.perf_counter() - start
                curve = sp.metrics.reliability_curve(np.clip(sure, 0, 1)[known], (labels == truth)[known])
                row = {
                    "data": name, "seed": seed, "epochs": options.epochs, "method": method, "looked_at": name in LOOKED_AT,
                    "cells": int(known.sum()), "accuracy": float((labels == truth)[known].mean()),
                    "macro_f1": f1_score(
                        truth[known], labels[known], labels=np.unique(truth[known]), average="macro", zero_division=0
                    ),
                    "ece": curve.attrs["calibration_error"], "seconds": seconds, "version": sp.__version__,
                }  # fmt: skip
                append(RESULTS, row)
    table = pd.read_csv(RESULTS)
    for column in ("accuracy", "macro_f1", "ece", "seconds"):
        means = table.pivot_table(index=["looked_at", "data"], columns="method", values=column)
        show(pd.concat([means, means.agg(["mean", "min", "max"])]), column)


if __name__ == "__main__":
    main()
