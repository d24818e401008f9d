"""Differential expression of cells, of labels (scANVI) and of pseudobulks, where one study of two is labelled.

    python benchmarks/annotation/differential_expression.py --seeds 0 1 2 3 4
    python benchmarks/annotation/differential_expression.py --data pbmc_6batch.h5ad --truth kang_ctrl_8donors.h5ad

As in "Hypotheses testing in harmonized datasets" of scANVI (Xu et al. 2021). Simulated: two studies of three donors
each, four types, of which ``a`` and ``b`` differ in 10 % of the genes (known, log fold changes of 0.3 to 1.2); only the
first study has labels. With ``--data``: cells of 10x from four batches, of which pbmc3k is labelled; B against
dendritic cells and CD4 against CD8, and the reference is a paired t-test over the eight donors of ``--truth``, which
are other cells, on the genes of both.

Labels of the other study come from the 10 nearest labelled cells in scVI's space (cells, pseudobulk) or from scANVI.
Scores: AUROC of the size of the Bayes factor (``vanilla``), of the probability of a change, or of the t-statistic, for
the genes that differ (simulated: by construction; real: adjusted p below 5 %), and Kendall's tau of the signed scores
with true log fold changes (real: with the reference's t). ``called`` is the share of genes with a Bayes factor beyond 3
(vanilla), a posterior false discovery rate of 5 % (change) or an adjusted p below 5 %, and ``false`` the share of these
that do not differ.

A row per run is appended to ``benchmarks/results/annotation_expression.csv``; runs that are there are not repeated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scvi
import torch
from scipy import sparse, stats
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

import scarches_plus as sp

sys.path.append(str(Path(__file__).parents[1] / "surgery"))
from _common import QUIET, interval, quiet, show

RESULTS = Path(__file__).parents[1] / "results" / "annotation_expression.csv"
LABELLED = "pbmc3k"
PAIRS = {("B", "DC"): ("B cells", "Dendritic cells"), ("CD4 T", "CD8 T"): ("CD4 T cells", "CD8 T cells")}


def simulated(seed, n_cells=1600, n_genes=500, types="abcd"):
    rng = np.random.default_rng(seed)
    programs = rng.normal(size=n_genes) + 0.5 * rng.normal(size=(len(types), n_genes))
    effect = np.zeros(n_genes)
    differ = rng.choice(n_genes, n_genes // 10, replace=False)
    effect[differ] = rng.uniform(0.3, 1.2, len(differ)) * rng.choice([-1, 1], len(differ))
    programs[1] = programs[0]
    programs[0] += effect
    donors = 0.1 * rng.normal(size=(6, n_genes)) + np.repeat(0.3 * rng.normal(size=(2, n_genes)), 3, axis=0)
    code, donor = rng.integers(0, len(types), n_cells), rng.integers(0, 6, n_cells)
    logits = programs[code] + donors[donor]
    mean = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) * rng.lognormal(np.log(1000), 0.3, (n_cells, 1))
    counts = rng.poisson(mean * rng.gamma(2.0, 0.5, mean.shape)).astype(np.float32)
    obs = {"cell_type": np.array(list(types))[code], "batch": np.where(donor < 3, "labelled", "other")}
    obs["sample"] = [f"donor{i}" for i in donor]
    adata = anndata.AnnData(sparse.csr_matrix(counts), pd.DataFrame(obs, index=[f"c{i}" for i in range(n_cells)]))
    adata.var_names = [f"g{i}" for i in range(n_genes)]
    return adata, pd.Series(effect, adata.var_names), pd.Series(effect != 0, adata.var_names)


def pseudobulk(adata, labels, first, second, *, paired=False):
    """Return Welch's t (or the paired one) of log CPM of the sums over the cells of each sample and label, and its
    p.
    """
    logs = {}
    for label in (first, second):
        groups = adata.obs["sample"].astype(str)[labels == label]
        groups = groups[groups.map(groups.value_counts()) >= 5]
        sums = pd.DataFrame(
            {g: np.asarray(adata[groups.index[groups == g]].X.sum(0)).ravel() for g in sorted(set(groups))}
        )
        logs[label] = np.log2(sums / sums.sum() * 1e6 + 10)
    one, other = logs[first], logs[second]
    if paired:
        both = one.columns.intersection(other.columns)
        test = stats.ttest_rel(one[both], other[both], axis=1)
    else:
        test = stats.ttest_ind(one, other, axis=1, equal_var=False)
    table = pd.DataFrame({"signed": test.statistic, "p": test.pvalue}, index=adata.var_names).fillna(
        {"signed": 0, "p": 1}
    )
    adjusted = stats.false_discovery_control(table["p"])
    return table.assign(size=-np.log10(table["p"]), called=adjusted < 0.05)


def bayesian(table):
    """Return signed score, size and calls of a table of scvi-tools."""
    if "proba_de" in table:
        size, called = table["proba_de"], table["is_de_fdr_0.05"]
        return pd.DataFrame({"signed": size * np.sign(table["lfc_mean"]), "size": size, "called": called})
    factor = table["bayes_factor"]
    return pd.DataFrame({"signed": factor, "size": factor.abs(), "called": factor.abs() > 3})


def tables(adata, pairs, seed, epochs):
    """Yield for each method and pair of labels the scores of genes."""
    labelled = (adata.obs["batch"] == adata.uns["labelled"]).to_numpy()
    truth = adata.obs["cell_type"].astype(str)
    adata.obs["given"] = truth.where(labelled, "Unknown")
    scvi.settings.seed = seed
    base = sp.tl.build_reference(adata, "batch", "given", max_epochs=epochs, train_kwargs=QUIET)
    z = adata.obsm["X_scarches"]
    adata.obs["knn"] = KNeighborsClassifier(10).fit(z[labelled], truth[labelled]).predict(z)
    scvi.settings.seed = seed
    model = sp.model.SCANVI.from_scvi_model(base, "Unknown")
    model.train(max_epochs=20, n_samples_per_label=100, **QUIET)
    adata.obs["scanvi"] = model.predict()
    print("labels right:", {key: round((adata.obs[key] == truth).mean(), 3) for key in ("knn", "scanvi")}, flush=True)
    for first, second in pairs:
        for mode in ("vanilla", "change"):
            groups = {"group1": first, "group2": second, "mode": mode, "silent": True}
            cells = {**groups, "batch_correction": True, "all_stats": False}
            yield f"cells, scVI, {mode}", first, second, bayesian(base.differential_expression(adata, "knn", **cells))
            yield (
                f"cells, scANVI, {mode}",
                first,
                second,
                bayesian(model.differential_expression(adata, "scanvi", **cells)),
            )
            yield f"labels, scANVI, {mode}", first, second, bayesian(model.label_differential_expression(**groups))
        yield "pseudobulk", first, second, pseudobulk(adata, adata.obs["knn"], first, second)
        yield "pseudobulk, true labels", first, second, pseudobulk(adata, truth, first, second)


def scored(found, effect, differs):
    found = found.loc[effect.index]
    called = found["called"].astype(bool)
    return {
        "auroc": roc_auc_score(differs, found["size"]),
        "tau": stats.kendalltau(found["signed"], effect).statistic,
        "called": called.mean(),
        "false": (called & ~differs).sum() / max(1, called.sum()),
    }


def studies(options, seed):
    """Return the cells, and for each pair of labels the true effects and which genes differ."""
    if options.data is None:
        adata, effect, differs = simulated(seed)
        adata.uns["labelled"] = "labelled"
        return adata, {("a", "b"): (effect, differs)}
    adata, reference = anndata.read_h5ad(options.data), anndata.read_h5ad(options.truth)
    adata = adata[~adata.obs["batch"].astype(str).str.startswith("kang")].copy()
    adata.uns["labelled"] = LABELLED
    for cells in (adata, reference):
        cells.obs["sample"] = cells.obs["batch"].astype(str)
    shared = adata.var_names.intersection(reference.var_names)
    truth = {}
    for pair, names in PAIRS.items():
        table = pseudobulk(reference, reference.obs["cell_type"].astype(str), *names, paired=True).loc[shared]
        truth[pair] = table["signed"], table["called"]
        print(pair, f"{len(shared)} genes, {table['called'].mean():.0%} differ", flush=True)
    return adata, truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    name = options.data.stem if options.data else "simulated"
    done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["data", "epochs", "seed"])
    for seed in options.seeds:
        if ((done["data"] == name) & (done["epochs"] == options.epochs) & (done["seed"] == seed)).any():
            continue
        adata, truth = studies(options, seed)
        rows = [
            {"data": name, "epochs": options.epochs, "seed": seed, "pair": f"{first} - {second}", "method": method}
            | scored(found, *truth[first, second])
            for method, first, second, found in tables(adata, truth, seed, options.epochs)
        ]
        done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
        RESULTS.parent.mkdir(exist_ok=True)
        done.to_csv(RESULTS, index=False)
    here = done[(done["data"] == name) & (done["epochs"] == options.epochs) & done["seed"].isin(options.seeds)]
    for pair, rows in here.groupby("pair"):
        table = rows.groupby("method", sort=False)[["auroc", "tau", "called", "false"]].mean()
        for score in ("auroc", "tau"):
            by_seed = rows.pivot_table(score, "seed", "method", sort=False)
            ends = [interval(by_seed[method])[1:] for method in table.index]
            table[f"{score} 95 %"] = [f"{low:.3f} to {high:.3f}" for low, high in ends]
        show(table, f"{name}, {pair}, {rows['seed'].nunique()} seeds")


if __name__ == "__main__":
    main()
