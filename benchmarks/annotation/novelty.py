"""Which score finds the cells of types the reference lacks, and do label probabilities mean what they say?

    python benchmarks/annotation/novelty.py                  # simulated: strengths of shift x shares of unseen cells
    python benchmarks/annotation/novelty.py --data-dir data  # and real data, with types withheld from the reference

``contrast`` is sp.tl.detect_novel. The others see the mapped query: ``vote`` is the uncertainty of the paper's kernel,
``scanvi`` 1 minus the classifier's largest posterior, ``logistic``
the same of a logistic regression on expression (as CellTypist), ``cellmapper`` that of its own labels in its own joint
space, ``distance`` the mean distance to the 15 nearest reference cells, ``density`` their local outlier factor,
``mixture`` the smallest Mahalanobis distance to a label's cells, ``variance`` the posterior's, ``residual`` the
reconstruction error, ``adapted`` how far EWC moves a cell's embedding from that of the frozen mapping, ``own`` the
distance between the query's own neighbours in the latent space relative to those among its own principal components.
AUROC, and the share of unseen cells found where 5 % of the known ones are rejected. ``--epochs 0`` leaves out what
needs a model. Where a score has a threshold of its own, the shares called novel by it; where it belongs to a label,
accuracy and expected calibration error on known types, and the calibration error of all cells that ``contrast`` does
not call novel. A row per score is appended to ``benchmarks/results/novelty.csv``; runs that are
there are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scvi
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

import scarches_plus as sp
from scarches_plus._neighbors import nearest, nearest_within
from scarches_plus.tl._novelty._pools import own_components

sys.path.append(str(Path(__file__).parent.parent / "surgery"))
from _common import QUIET, quiet, show, split

RESULTS = Path(__file__).parent.parent / "results" / "novelty.csv"
ISLETS, PBMC, DONORS = "islets_3tech_plus.h5ad", "pbmc_6batch.h5ad", "kang_ctrl_8donors.h5ad"
INDROP, DONOR = ["inDrop_Baron"], ["donor_101", "donor_107", "donor_1039"]
#: Name: file, batches of the query, types withheld from the reference (beside those it lacks anyway).
REAL = {
    "islets": (ISLETS, INDROP, []),
    "islets, no ductal": (ISLETS, INDROP, ["ductal"]),
    "islets, no beta": (ISLETS, INDROP, ["beta"]),
    "islets, alpha of Smart-seq2": (ISLETS, ["SmartSeq2_Segerstolpe"], ["alpha"]),
    "PBMC stimulated, no B": (PBMC, ["kang_stim"], ["B"]),
    "PBMC stimulated, no CD16 Mono": (PBMC, ["kang_stim"], ["CD16 Mono"]),
    "PBMC 5', no NK": (PBMC, ["sym_5p"], ["NK"]),
    "PBMC 3k, no CD14 Mono": (PBMC, ["pbmc3k"], ["CD14 Mono"]),
    "PBMC 3', no DC and Mk": (PBMC, ["sym_3pv2", "sym_3pv1"], ["DC", "Mk"]),
    "donors, no B": (DONORS, DONOR, ["B cells"]),
    "donors, no NK": (DONORS, DONOR, ["NK cells"]),
}
SHIFTS, SHARES = (0.3, 0.6, 1.0), (0.01, 0.05, 0.2, 0.6)


def simulated(shift, share, seed):
    only = ["type6", "type7"]
    adata = sp.datasets.simulate(
        1800, 1000, 8, n_batches=3, batch_effect=shift, type_shares=dict.fromkeys(only, share / 2),
        missing_types={"batch0": only, "batch1": only}, rng=seed,
    )  # fmt: skip
    query = (adata.obs["batch"] == "batch2").to_numpy()
    return adata[~query].copy(), adata[query].copy()


def real(data_dir, name, most_cells):
    file, batches, withheld = REAL[name]
    reference, query = split(data_dir / file, batches, 2000)
    reference = reference[~reference.obs["cell_type"].isin(withheld).to_numpy()].copy()
    parts = []
    for cells in (reference, query):
        rows = np.sort(np.random.default_rng(0).permutation(cells.n_obs)[:most_cells])
        part = cells[rows].copy()
        part.X = sparse.csr_matrix(part.X).astype(np.float32)
        parts.append(part)
    return parts


def log_normalized(adata):
    counts = np.asarray(adata.X.todense())
    return np.log1p(1e4 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def log_normal_cells(adata):
    cells = anndata.AnnData(log_normalized(adata).astype(np.float32), adata.obs.copy(), adata.var[[]].copy())
    cells.obs_names_make_unique()
    return cells


def mahalanobis(z_query, z_reference, labels):
    distances = []
    for label in np.unique(labels):
        cells = z_reference[labels == label]
        if len(cells) > z_reference.shape[1]:
            covariance = np.cov(cells.T) + 1e-3 * np.eye(cells.shape[1])
            difference = z_query - cells.mean(axis=0)
            distances.append(np.einsum("ij,ij->i", difference @ np.linalg.inv(covariance), difference))
    return np.min(distances, axis=0)


def scores(reference, query, seed, epochs):
    """Return name to score, what was rejected and which labels were given (or None), and seconds."""
    labels = reference.obs["cell_type"].astype(str).to_numpy()
    hidden = query.copy()
    del hidden.obs["cell_type"]
    start = time.perf_counter()
    sp.tl.detect_novel(hidden, reference, "cell_type", batch_key="batch")
    novel = hidden.obs["novel"].to_numpy()
    contrast = hidden.obs["novel_score"].to_numpy(), novel, None, time.perf_counter() - start
    found = {"contrast": contrast}
    return found if not epochs else found | of_models(reference, hidden, labels, seed, epochs)


def of_models(reference, hidden, labels, seed, epochs):
    """Return the same of scores that need a mapped query or the latent space."""
    found = {}

    def timed(name, function):
        start = time.perf_counter()
        score, rejected, given = function()
        found[name] = np.asarray(score), rejected, given, time.perf_counter() - start

    models = {}
    for recipe in ("scvi", "scanvi"):
        scvi.settings.seed = seed
        models[recipe] = sp.tl.build_reference(
            reference, "batch", "cell_type", recipe=recipe, max_epochs=epochs, train_kwargs=QUIET
        )
    scvi.settings.seed = seed
    scanvi = sp.tl.map_query(hidden, models["scanvi"], max_epochs=epochs, train_kwargs=QUIET)

    def classified():
        posterior = scanvi.predict(soft=True)
        return 1 - posterior.to_numpy().max(axis=1), None, posterior.idxmax(axis=1).to_numpy()

    timed("scanvi", classified)
    sp.train.estimate_importance(models["scvi"])
    scvi.settings.seed = seed
    adapted = sp.tl.map_query(hidden, models["scvi"], strategy="clcvae", max_epochs=epochs, train_kwargs=QUIET)
    z_adapted = hidden.obsm["X_scarches"]
    scvi.settings.seed = seed
    model = sp.tl.map_query(hidden, models["scvi"], max_epochs=epochs, train_kwargs=QUIET)
    sp.tl.embed(reference, model)
    z, z_reference = hidden.obsm["X_scarches"], reference.obsm["X_scarches"]

    def vote(**options):
        sp.tl.transfer_labels(hidden, reference, "cell_type", **options)
        rejected = (hidden.obs["cell_type_pred"] == "Unknown").to_numpy()
        sp.tl.transfer_labels(hidden, reference, "cell_type", **{**options, "unknown_above": None})
        return hidden.obs["cell_type_uncertainty"], rejected, hidden.obs["cell_type_pred"].astype(str).to_numpy()

    def cellmapper():
        from cellmapper import CellMapper

        cells = [log_normal_cells(each) for each in (hidden, reference)]
        cells[1].obs["cell_type"] = cells[1].obs["cell_type"].astype(str).astype("category")
        mapper = CellMapper(*cells)
        mapper.compute_fast_cca(n_comps=min(30, hidden.n_obs - 1), random_state=seed)
        mapper.map(obs_keys="cell_type", use_rep="X_cca")
        return (
            1 - cells[0].obs["cell_type_conf"].to_numpy(float),
            None,
            cells[0].obs["cell_type_pred"].astype(str).to_numpy(),
        )

    def logistic():
        x, y = log_normalized(reference), log_normalized(hidden)
        mean, sd = x.mean(axis=0), x.std(axis=0) + 1e-6
        classifier = LogisticRegression(C=0.1, max_iter=200).fit(np.clip((x - mean) / sd, -10, 10), labels)
        posterior = classifier.predict_proba(np.clip((y - mean) / sd, -10, 10))
        return 1 - posterior.max(axis=1), None, classifier.classes_[posterior.argmax(axis=1)]

    def own():
        latent = nearest_within(z, 15).distances.mean(axis=1)
        return latent / nearest_within(own_components(hidden.X), 15).distances.mean(axis=1), None, None

    reference_self = adapted.embed(reference)
    drift = np.linalg.norm(reference_self - z_reference, axis=1).mean()
    timed("vote", vote)
    if find_spec("cellmapper"):
        timed("cellmapper", cellmapper)
    timed("logistic", logistic)
    timed("distance", lambda: (nearest(z, z_reference, 15).distances.mean(axis=1), None, None))
    timed("density", lambda: (-LocalOutlierFactor(20, novelty=True).fit(z_reference).score_samples(z), None, None))
    timed("mixture", lambda: (mahalanobis(z, z_reference, labels), None, None))
    timed("variance", lambda: (model.get_latent_representation(return_dist=True)[1].sum(axis=1), None, None))
    timed("residual", lambda: (residual(model, hidden), None, None))
    timed("adapted", lambda: (np.linalg.norm(z_adapted - z, axis=1) / max(drift, 1e-12), None, None))
    timed("own", own)
    return found


def residual(model, cells):
    """Poisson deviance of the counts from the decoder's mean, per count."""
    counts = np.asarray(cells.X.todense())
    mean = model.get_normalized_expression(library_size="latent", return_numpy=True)
    mean *= counts.sum(axis=1, keepdims=True) / mean.sum(axis=1, keepdims=True)
    log_ratio = np.log(np.maximum(counts, 1e-12) / np.maximum(mean, 1e-8))
    deviance = 2 * (np.where(counts > 0, counts * log_ratio, 0) - counts + mean)
    return deviance.sum(axis=1) / counts.sum(axis=1)


def rows_of(data, seed, epochs, reference, query):
    """Return a row for each score."""
    truth = query.obs["cell_type"].astype(str).to_numpy()
    unseen = ~np.isin(truth, reference.obs["cell_type"].astype(str).unique())
    found = scores(reference, query, seed, epochs)
    accepted = ~found["contrast"][1]
    rows = []
    for name, (score, rejected, given, seconds) in found.items():
        score = np.nan_to_num(score)
        threshold = np.quantile(score[~unseen], 0.95)
        row = {
            "data": data, "score": name, "seed": seed, "epochs": epochs, "unseen_share": unseen.mean(),
            "auroc": roc_auc_score(unseen, score), "found_at_5": (score[unseen] > threshold).mean(),
            "called_unseen": np.nan if rejected is None else rejected[unseen].mean(),
            "called_known": np.nan if rejected is None else rejected[~unseen].mean(),
            "accuracy": np.nan, "ece": np.nan, "ece_accepted": np.nan,
            "seconds": seconds, "version": sp.__version__, "scvi_tools": scvi.__version__,
        }  # fmt: skip
        if given is not None:
            sure, right = np.clip(1 - score, 0, 1), given == truth
            curve = sp.metrics.reliability_curve(sure[~unseen], right[~unseen])
            row |= {"accuracy": right[~unseen].mean(), "ece": curve.attrs["calibration_error"]}
            if accepted.any():
                of_accepted = sp.metrics.reliability_curve(sure[accepted], right[accepted])
                row["ece_accepted"] = of_accepted.attrs["calibration_error"]
        rows.append(row)
    return rows


def append(path, rows):
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        if new:
            writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--only", nargs="+", help="Names of data sets.")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument(
        "--cells", type=int, default=2500, help="Most cells of real references and queries, drawn once."
    )
    options = parser.parse_args()
    quiet()
    RESULTS.parent.mkdir(exist_ok=True)
    sets = {
        f"simulated, shift {shift}, {share:.0%} unseen": lambda seed, a=shift, b=share: simulated(a, b, seed)
        for shift in SHIFTS
        for share in SHARES
    }
    if options.data_dir:
        sets |= {name: lambda seed, name=name: real(options.data_dir, name, options.cells) for name in REAL}
    for seed in options.seeds:
        for name, make in sets.items():
            if options.only and name not in options.only:
                continue
            done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["data", "seed", "epochs"])
            if ((done["data"] == name) & (done["seed"] == seed) & (done["epochs"] == options.epochs)).any():
                continue
            rows = rows_of(name, seed, options.epochs, *make(seed))
            append(RESULTS, rows)
            print(name, seed, {row["score"]: round(float(row["auroc"]), 3) for row in rows}, flush=True)
    table = pd.read_csv(RESULTS)
    for column in ("auroc", "found_at_5", "called_unseen", "called_known", "accuracy", "ece", "ece_accepted"):
        show(table.pivot_table(index="data", columns="score", values=column), column)


if __name__ == "__main__":
    main()
