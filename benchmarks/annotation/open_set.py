"""Does ``detect_novel`` hold on any query, and does ``alpha`` mean something?

    python benchmarks/annotation/open_set.py --data-dir data --half look            # development
    python benchmarks/annotation/open_set.py --data-dir data --half final --thresholds  # opened at the end
    python benchmarks/annotation/open_set.py --data-dir data --half final --vote 50  # and the vote of a trained model

Scenarios are those of ``_scenarios.py``. Scores: ``contrasts`` is sp.tl.detect_novel; ``profiles`` the same from label
profiles of at least 20 cells, without the reference's cells; ``logistic`` 1 minus the largest probability of a
regularised logistic regression on standardised log expression (at most 2,000 genes); ``vote`` the uncertainty of the
paper's kernel in the latent space of scVI, trained once for each set of labels with ``--vote`` epochs; ``distance`` the
mean distance to the 15 nearest reference cells in principal components of both. Printed: AUROC, unseen cells found
where 5 % of the known are rejected, shares of known and unseen cells called at ``alpha``, scenarios abstained from.
A row per score is appended to ``benchmarks/results/open_set.csv``; runs that are there are not repeated.
``--thresholds`` prints the thresholds and ranges that ``_verdict.py`` holds, from the scores of known cells.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scanpy as sc
import scvi
from _scenarios import TASKS, scenarios
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import scarches_plus as sp
from scarches_plus._neighbors import nearest

sys.path.append(str(Path(__file__).parent.parent / "surgery"))
from _common import QUIET, append, quiet, show

RESULTS = Path(__file__).parent.parent / "results" / "open_set.csv"
QUANTILES = np.round(np.linspace(0, 1, 201), 3)
ALPHAS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)


def contrasts(scenario):
    query = scenario.query.copy()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        sp.tl.detect_novel(query, scenario.reference, "cell_type", batch_key="batch")
    return read(query, heard)


def profiles(scenario):
    query = scenario.query.copy()
    known = sp.tl.label_profiles(scenario.reference, "cell_type", "batch")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        sp.tl.detect_novel(query, known)
    return read(query, heard)


def read(query, heard):
    judged = bool((query.obs["novel_state"] != "not judged").all())
    right = query.obs["novel_label"].astype(str).to_numpy() == query.obs["cell_type"].to_numpy()
    return query.obs["novel_score"].to_numpy(), query.obs["novel"].to_numpy(), judged, len(heard) > 0, right


def log_normalized(*sets):
    genes = sets[0].var_names.intersection(sets[1].var_names)
    logs = []
    for cells in sets:
        normalized = sc.pp.normalize_total(cells[:, genes], target_sum=1e4, copy=True)
        logs.append(np.log1p(np.asarray(normalized.X.todense())))
    chosen = np.sort(np.argsort(-logs[0].var(axis=0), kind="stable")[:2000])
    return [one[:, chosen] for one in logs]


def logistic(scenario):
    x, y = log_normalized(scenario.reference, scenario.query)
    mean, sd = x.mean(axis=0), x.std(axis=0) + 1e-6
    model = LogisticRegression(C=0.1, max_iter=200)
    model.fit(np.clip((x - mean) / sd, -10, 10), scenario.reference.obs["cell_type"])
    posterior = model.predict_proba(np.clip((y - mean) / sd, -10, 10))
    right = model.classes_[posterior.argmax(axis=1)] == scenario.query.obs["cell_type"].to_numpy()
    return 1 - posterior.max(axis=1), None, True, False, right


def distance(scenario):
    x, y = log_normalized(scenario.reference, scenario.query)
    pca = PCA(min(20, *x.shape), random_state=0).fit(x)
    return nearest(pca.transform(y), pca.transform(x), 15).distances.mean(axis=1), None, True, False, None


class Vote:
    """The paper's vote in scVI's latent space; models are kept for scenarios of one reference."""

    def __init__(self, epochs):
        self.epochs, self.key, self.model, self.reference = epochs, None, None, None

    def __call__(self, scenario):
        key = scenario.task, scenario.reference.n_vars, tuple(sorted(scenario.reference.obs["cell_type"].unique()))
        if key != self.key:
            scvi.settings.seed = 0
            self.key, self.reference = key, scenario.reference.copy()
            self.model = sp.tl.build_reference(
                self.reference, "batch", recipe="scvi", max_epochs=self.epochs, train_kwargs=QUIET
            )
        query = scenario.query.copy()
        query.obs["batch"] = "query " + query.obs["batch"].astype(str)
        sp.tl.map_query(query, self.model, max_epochs=self.epochs, train_kwargs=QUIET)
        sp.tl.transfer_labels(query, self.reference, "cell_type", kernel="paper", unknown_above=None)
        right = query.obs["cell_type_pred"].astype(str).to_numpy() == scenario.query.obs["cell_type"].to_numpy()
        return query.obs["cell_type_uncertainty"].to_numpy(), None, True, False, right


def row_of(scenario, name, score):
    start = time.perf_counter()
    values, called, judged, warned, right = score(scenario)
    seconds, unseen, values = time.perf_counter() - start, scenario.unseen, np.nan_to_num(values)
    row = {
        "scenario": scenario.name, "half": scenario.half, "task": scenario.task, "family": scenario.family, "score": name,
        "unseen": unseen.sum(), "known": (~unseen).sum(), "auroc": np.nan, "found_at_5": np.nan, "judged": judged,
        "warned": warned, "called_known": np.nan, "called_unseen": np.nan, "accuracy": np.nan, "seconds": seconds,
    }  # fmt: skip
    if unseen.any() and not unseen.all():
        row["auroc"] = roc_auc_score(unseen, values)
        row["found_at_5"] = (values[unseen] > np.quantile(values[~unseen], 0.95)).mean()
    for which, cells in (("known", ~unseen), ("unseen", unseen)):
        if called is not None and cells.any():
            row[f"called_{which}"] = called[cells].mean()
    if right is not None and not unseen.all():
        row["accuracy"] = right[~unseen].mean()
    for which, cells in (("known", ~unseen), ("unseen", unseen)):
        quantiles = np.quantile(values[cells], QUANTILES) if cells.any() else np.full(len(QUANTILES), np.nan)
        row |= {f"{which} {at}": value for at, value in zip(QUANTILES, quantiles, strict=True)}
    return row


def thresholds(table):
    """Print the novelty above which shares of known cells lie, and how the shares vary over scenarios."""
    some = table[(table["score"] == "contrasts") & table["judged"] & (table["family"] != "one type")]
    alone = some["task"].isin([task.name for task in TASKS if task.setting == "one batch"])
    for batches, rows in {"several batches": some[~alone], "one batch": some[alone]}.items():
        known = rows[[f"known {at}" for at in QUANTILES]].to_numpy()
        known = known[~np.isnan(known).any(axis=1)]
        grid = np.unique(known)
        shares = np.array([1 - np.interp(grid, row, QUANTILES, left=0, right=1) for row in known])
        print(f"references of {batches}: {len(known)} scenarios")
        for alpha in ALPHAS:
            at = int(np.argmin(np.abs(shares.mean(axis=0) - alpha)))
            low, high = np.quantile(shares[:, at], [0.05, 0.95])
            print(f"alpha {alpha}: novelty {grid[at]:.2f}, known cells called {low:.3f} to {high:.3f}")


def summary(table):
    """Print means over scenarios, by score, family and task."""
    print(f"{table['scenario'].nunique()} scenarios")
    mixed = table[table["auroc"].notna()]
    for by in ("family", "task"):
        show(mixed.pivot_table(index=by, columns="score", values="auroc"), f"AUROC by {by}")
    show(mixed.groupby("score")[["auroc", "found_at_5", "accuracy", "seconds"]].mean(), "means")
    for name in ("contrasts", "profiles"):
        own = table[table["score"] == name]
        if not len(own):
            continue
        one = own["family"] == "one type"
        judged = own[own["judged"] & ~one]
        large = own[own["unseen"] >= 20]
        print(
            f"{name}: abstained {(~own['judged'] & ~one).sum()} of {(~one).sum()} (one type: {(~own['judged'] & one).sum()} of "
            f"{one.sum()}); known called {judged['called_known'].mean():.3f}, above 0.15 in "
            f"{(judged['called_known'].dropna() > 0.15).mean():.3f}; unseen called {judged['called_unseen'].mean():.3f}; "
            f"AUROC below 0.60 with 20 unseen cells: {(large['auroc'] < 0.6).sum()} of {large['auroc'].notna().sum()}"
        )
        show(judged.groupby("family")[["called_known", "called_unseen"]].mean(), "called by family")
        show(judged.groupby("task")[["called_known", "called_unseen"]].mean(), "called by task")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--half", choices=["look", "final"])
    parser.add_argument("--tasks", nargs="+")
    parser.add_argument("--scores", nargs="+", default=["contrasts", "profiles", "logistic", "distance"])
    parser.add_argument("--vote", type=int, metavar="EPOCHS", help="Train models, and score their vote, too.")
    parser.add_argument("--every", type=int, default=1, help="Take every so-manieth scenario.")
    parser.add_argument("--thresholds", action="store_true", help="Print the table of thresholds.")
    options = parser.parse_args()
    quiet()
    RESULTS.parent.mkdir(exist_ok=True)
    known = {"contrasts": contrasts, "profiles": profiles, "logistic": logistic, "distance": distance}
    chosen = {name: known[name] for name in options.scores}
    if options.vote:
        chosen["vote"] = Vote(options.vote)
    done = pd.read_csv(RESULTS, usecols=["scenario", "score"]) if RESULTS.exists() else pd.DataFrame()
    done = set(done.itertuples(index=False, name=None)) if len(done) else set()
    for number, scenario in enumerate(scenarios(options.data_dir, options.half, options.tasks)):
        for name, score in chosen.items() if number % options.every == 0 else ():
            if (scenario.name, name) in done:
                continue
            try:
                append(RESULTS, row_of(scenario, name, score))
            except ValueError as error:  # such as a reference of one label, or too few cells
                print(f"{scenario.name}, {name}: {error}", flush=True)
    table = pd.read_csv(RESULTS)
    if options.half:
        table = table[table["half"] == options.half]
    summary(table)
    if options.thresholds:
        thresholds(table)


if __name__ == "__main__":
    main()
