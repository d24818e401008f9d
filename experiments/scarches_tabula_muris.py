"""scArches, Fig. 3a-g: Tabula Muris onto Tabula Senis; correct, incorrect and unknown cells of every tissue.

    python experiments/scarches_tabula_muris.py --small
    python experiments/scarches_tabula_muris.py --data tabula_muris_senis --queries 3m --withheld Trachea

"Our model transferred the labels from the reference atlas to the query atlas with ~89% accuracy for all the tissues
except tracheal cells. Moreover, all misclassified cells and cells from the out-of-distribution tissue received high
uncertainty scores." Of ``--data``, the batches of the query and the withheld tissue are ``obs`` values of ``batch`` and
``tissue`` (``sp.datasets.tabula_muris_senis()`` has both).

Small: 14 types in seven tissues, three simulated batches of the atlas and one of the query; the last tissue is in the
query only. The identity leaves the cells as they are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import IDENTITY, Claim, as_they_are, labels_of, main, mapped, read, reference, split, with_embedding

import scarches_plus as sp

ARGUMENTS = {
    "--queries": {"nargs": "+", "default": ["batch3"]},
    "--withheld": {"default": "tissue6", "help": "tissue that the reference lacks"},
}


def cells(options):
    if options.data:
        return read(options.data)
    adata = sp.datasets.simulate(
        [400, 400, 400, 500], 300, 14, n_batches=4, type_effect=0.28, batch_effect=0.4, rng=options.seed
    )
    number = adata.obs["cell_type"].astype(str).str.removeprefix("type").astype(int)
    adata.obs["tissue"] = "tissue" + (number // 2).astype(str)
    return adata


def share_above(high: np.ndarray, low: np.ndarray) -> float:
    """Return the share of pairs in which the first is higher (AUROC)."""
    return float((high[:, None] > low).mean() + (high[:, None] == low).mean() / 2)


def run(options):
    known, query = split(cells(options), options.queries)
    known = known[(known.obs["tissue"].astype(str) != options.withheld).to_numpy()].copy()
    if options.method == IDENTITY:
        parts = as_they_are(known, query)
    else:
        model = reference(known, seed=options.seed, epochs=options.epochs or 60)
        mapped(query, model, seed=options.seed, epochs=options.epochs or 100)
        parts = [known.obsm["X_scarches"], query.obsm["X_scarches"]]
    ours, theirs = with_embedding(query, parts[1]), with_embedding(known, parts[0])
    sp.tl.transfer_labels(ours, theirs, "cell_type", use_rep="X")
    uncertainty = ours.obs["cell_type_uncertainty"].to_numpy()
    report = sp.metrics.label_transfer_report(
        labels_of(query), labels_of(ours, "cell_type_pred"), uncertainty, known_labels=labels_of(known),
        by=labels_of(query, "tissue"),
    )  # fmt: skip
    absent = (labels_of(query, "tissue") == options.withheld) & ~np.isin(labels_of(query), labels_of(known))
    best = sp.tl.transfer_labels(ours, theirs, "cell_type", use_rep="X", unknown_above=None, copy=True)
    wrong = (labels_of(best, "cell_type_pred") != labels_of(query)) & ~absent
    right = ~wrong & ~absent
    sp.tl.detect_novel(query, known, "cell_type", batch_key="batch")
    novel = query.obs["novel"].to_numpy()
    z, both = np.concatenate(parts), np.repeat(["reference", "query"], [known.n_obs, query.n_obs])
    present = np.concatenate([np.ones(known.n_obs, bool), ~absent])
    mixing = sp.metrics.entropy_batch_mixing(z[present], both[present], k=15, normalize=True)
    table = report.per_group.assign(novel=pd.Series(novel).groupby(labels_of(query, "tissue")).mean()).reset_index()
    return table, [
        Claim("query and reference integrate (EBM)", mixing, 0.4),
        Claim("labels are right outside of the withheld tissue (accuracy)", report.accuracy, 0.7, "0.89"),
        Claim("misclassified cells are more uncertain (AUROC)",
              share_above(uncertainty[wrong], uncertainty[right]) if wrong.any() else 1.0, 0.65),
        Claim("the withheld tissue is more uncertain (AUROC)",
              share_above(uncertainty[absent], uncertainty[right]), 0.6, asserted=False),
        Claim("the withheld tissue is unknown more often than the others",
              report.unknown_rate_unseen - report.unknown_rate_known, 0.1, asserted=False),
        Claim("detect_novel, which the paper has not, finds the withheld tissue (difference of shares)",
              novel[absent].mean() - novel[~absent].mean(), 0.3),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
