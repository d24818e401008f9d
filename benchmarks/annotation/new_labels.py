"""Does a reference that was extended by named clusters find their types in the next query?

    python benchmarks/annotation/new_labels.py --data-dir data

The query is halved. The first half is mapped, sp.tl.detect_novel finds clusters, each is named by the type that most of
its cells are (the only use of true labels), and sp.tl.extend_reference adds the names to scANVI's labels. The second
half is mapped onto the extended model and labelled by its classifier, and by the 15 nearest neighbours in the joint
embedding of reference and first half. ``before`` is the same with the reference as it was. ``--strategy`` is that of
the first mapping; the reference is embedded again. A row per run is appended to ``benchmarks/results/new_labels.csv``;
runs that are there are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
import torch
from scipy import sparse

import scarches_plus as sp

sys.path.append(str(Path(__file__).parent.parent / "surgery"))
from _common import QUIET, quiet, split

RESULTS = Path(__file__).parent.parent / "results" / "new_labels.csv"
ISLETS, PBMC, DONORS = "islets_3tech_plus.h5ad", "pbmc_6batch.h5ad", "kang_ctrl_8donors.h5ad"
#: Name: file, batches of the query, types withheld from the reference (beside those it lacks anyway).
DATA = {
    "islets": (ISLETS, ["inDrop_Baron"], []),
    "islets, no ductal": (ISLETS, ["inDrop_Baron"], ["ductal"]),
    "donors, no B": (DONORS, ["donor_101", "donor_107", "donor_1039"], ["B cells"]),
    "PBMC 3k, no CD14 Mono": (PBMC, ["pbmc3k"], ["CD14 Mono"]),
    "PBMC stimulated, no B": (PBMC, ["kang_stim"], ["B"]),
}
MOST = {"reference": 2500, "query": 1000}


def cells_of(data_dir, name, seed):
    """Return the reference and the halves of the query."""
    file, batches, withheld = DATA[name]
    reference, query = split(data_dir / file, batches, 2000)
    reference = reference[~reference.obs["cell_type"].isin(withheld).to_numpy()]
    rng = np.random.default_rng(seed)
    order = rng.permutation(query.n_obs)[: 2 * MOST["query"]]
    chosen = {
        "reference": (reference, rng.permutation(reference.n_obs)[: MOST["reference"]]),
        "first": (query, order[: len(order) // 2]),
        "second": (query, order[len(order) // 2 :]),
    }
    parts = {}
    for role, (cells, rows) in chosen.items():
        part = cells[np.sort(rows)].copy()
        part.X = sparse.csr_matrix(part.X).astype(np.float32)
        if role != "reference":
            part.obs["batch"] = part.obs["batch"].astype(str) + f", {role} half"
        part.obs["truth"] = part.obs["cell_type"].astype(str)
        parts[role] = part
    for role in ("first", "second"):
        del parts[role].obs["cell_type"]
    return parts.values()


def mapped(query, model, epochs, seed, **options):
    scvi.settings.seed = seed
    return sp.tl.map_query(query, model, max_epochs=epochs, train_kwargs=QUIET, **options)


def run(data_dir, name, seed, epochs, strategy):
    reference, first, second = cells_of(data_dir, name, seed)
    scvi.settings.seed = seed
    model = sp.tl.build_reference(
        reference, "batch", "cell_type", recipe="scanvi", max_epochs=epochs, train_kwargs=QUIET
    )
    if strategy == "clcvae":
        sp.train.estimate_importance(model)
    once = mapped(first, model, epochs, seed, strategy=strategy)
    sp.tl.embed(reference, once)
    sp.tl.detect_novel(first, reference, "cell_type", batch_key="batch")
    sp.tl.transfer_labels(first, reference, "cell_type")
    clusters = first.obs["novel_cluster"]
    names = {
        cluster: first.obs["truth"][(clusters == cluster) & first.obs["novel"]].value_counts().idxmax()
        for cluster in clusters.cat.categories
        if ((clusters == cluster) & first.obs["novel"]).any()
    }
    sp.tl.name_novel(first, names, "cell_type_pred")
    start = time.process_time()
    extended = sp.tl.extend_reference(first, once, "novel_named", reference=reference)
    seconds = time.process_time() - start

    first.obs["cell_type"] = first.obs["novel_named"]
    joint = sp.tl.joint_embedding(reference, first)
    found = {}
    found["classifier before"] = mapped(second, once, epochs, seed).predict()
    sp.tl.transfer_labels(second, reference, "cell_type", k=15, unknown_above=None)
    found["neighbours before"] = second.obs["cell_type_pred"].astype(str).to_numpy()
    found["classifier"] = mapped(second, extended, epochs, seed).predict()
    sp.tl.transfer_labels(second, joint, "cell_type", k=15, unknown_above=None)
    found["neighbours"] = second.obs["cell_type_pred"].astype(str).to_numpy()

    truth = second.obs["truth"].to_numpy()
    old, added = list(once.classes), list(extended.classes[len(once.classes) :])
    known, unseen = np.isin(truth, old), ~np.isin(truth, old)
    before, after = (one.predict(reference, soft=True).to_numpy(dtype=np.float64) for one in (once, extended))
    kept = after[:, : len(old)] / after[:, : len(old)].sum(axis=1, keepdims=True)
    row = {
        "data": name, "strategy": strategy, "seed": seed, "epochs": epochs, "named": "; ".join(added),
        "unseen_share": unseen.mean(), "of_named_types": np.isin(truth, added)[unseen].mean(),
        "reference_changed": (after.argmax(axis=1) != before.argmax(axis=1)).mean(),
        "largest_difference": np.abs(kept - before).max(), "seconds": seconds,
    }  # fmt: skip
    for method, labels in found.items():
        row[f"known, {method}"] = (labels == truth)[known].mean()
        if "before" not in method:
            right = [(labels == truth)[truth == label].mean() for label in added if (truth == label).any()]
            row[f"new, {method}"] = np.mean(right) if right else np.nan
            row[f"called new, {method}"] = np.isin(labels, added)[known].mean()
    return row | {"version": sp.__version__, "scvi_tools": scvi.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", nargs="+", type=int, default=[2, 3, 4])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--strategy", choices=["condition", "input_layers", "all", "clcvae"], default="condition")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    RESULTS.parent.mkdir(exist_ok=True)
    for seed in options.seeds:
        for name in options.only:
            setting = {"data": name, "strategy": options.strategy, "seed": seed, "epochs": options.epochs}
            done = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=list(setting))
            if (done[list(setting)] == pd.Series(setting)).all(axis=1).any():
                continue
            row = run(options.data_dir, name, seed, options.epochs, options.strategy)
            new = not RESULTS.exists()
            with RESULTS.open("a", newline="") as file:
                writer = csv.DictWriter(file, row)
                if new:
                    writer.writeheader()
                writer.writerow(row)
    table = pd.read_csv(RESULTS)
    numbers = table.drop(columns=["seed", "epochs", "named", "version", "scvi_tools"])
    print(numbers.groupby(["strategy", "data"], sort=False).mean().T.round(3).to_string())
    print(table[["strategy", "data", "seed", "named"]].to_string())


if __name__ == "__main__":
    main()
