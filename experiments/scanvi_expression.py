"""scANVI, "Hypotheses testing" and Suppl. Fig. 13: which genes differ, where one study of two is labelled?

    python experiments/scanvi_expression.py --small
    python experiments/scanvi_expression.py --data pbmc.h5ad --labelled pbmc8k --truth bulk.csv --pair "B cells" DC

"in both case studies, scVI performs moderately better than scANVI ... both scANVI and scVI compare favorably to edgeR
in their accuracy". Truth is bulk data there; AUROC of the Bayes factors or p-values, Kendall's tau of the ranking.

Small: two simulated studies of three donors, one labelled, in which 10 % of the genes differ between two of four types.
Labels of the other study come from the 10 nearest labelled cells in scVI's space. Beside scVI's test between cells and
scANVI's between labels stands Welch's t of pseudobulks of each donor, as edgeR would have them (edgeR itself is R), and
a t-test of cells, as if they were samples. ``benchmarks/annotation/differential_expression.py`` has more ways. The
identity tests the two types with labels dealt at random.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from _experiment import IDENTITY, QUIET, Claim, begin, labels_of, log_normalized, main, read, reference
from scipy import stats
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

import scarches_plus as sp

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "annotation"))
import differential_expression as benchmark

ARGUMENTS = {
    "--labelled": {"default": "labelled", "help": "batch whose labels are given"},
    "--truth": {"help": "CSV of genes: columns effect (signed) and differs (true or false); obs['sample'] are donors"},
    "--pair": {"nargs": 2, "default": ["a", "b"]},
}


def of_cells(adata, labels, first, second):
    """Return Welch's t of log counts of cells, without batches."""
    logged = log_normalized(adata).X.toarray()
    test = stats.ttest_ind(logged[labels == first], logged[labels == second], equal_var=False)
    size = np.nan_to_num(np.abs(test.statistic))
    return pd.DataFrame({"signed": np.nan_to_num(test.statistic), "size": size}, index=adata.var_names)


def run(options):
    if options.data:
        adata, truth = read(options.data, None), pd.read_csv(options.truth, index_col=0)
        effect, differs = truth["effect"], truth["differs"].astype(bool)
    else:
        adata, effect, differs = benchmark.simulated(options.seed, 1200, 300)
    first, second = options.pair
    types = labels_of(adata)
    given = labels_of(adata, "batch") == options.labelled
    adata.obs["given"] = np.where(given, types, "Unknown")
    base = reference(adata, "given", seed=options.seed, epochs=options.epochs or 100)
    z = adata.obsm["X_scarches"]
    labels = KNeighborsClassifier(10).fit(z[given], types[given]).predict(z)
    if options.method == IDENTITY:
        labels = np.random.default_rng(options.seed).permutation(labels)
        adata.obs["given"] = np.where(given, labels, "Unknown")
        base = reference(adata, "given", seed=options.seed, epochs=1)
    adata.obs["transferred"] = labels
    begin(options.seed)
    model = sp.model.SCANVI.from_scvi_model(base, "Unknown")
    model.train(max_epochs=options.epochs or 15, n_samples_per_label=100, **QUIET)
    groups = {"group1": first, "group2": second, "mode": "vanilla", "silent": True}
    tests = {
        "cells, scVI": benchmark.bayesian(
            base.differential_expression(adata, "transferred", batch_correction=True, all_stats=False, **groups)
        ),
        "labels, scANVI": benchmark.bayesian(model.label_differential_expression(**groups)),
        "pseudobulk, t": benchmark.pseudobulk(adata, labels, first, second),
        "cells, t": of_cells(adata, labels, first, second),
    }
    rows = []
    for name, found in tests.items():
        found = found.loc[effect.index]
        rows.append(
            {
                "test": name,
                "AUROC": roc_auc_score(differs, found["size"]),
                "tau": stats.kendalltau(found["signed"], effect).statistic,
            }
        )
    table = pd.DataFrame(rows)
    auroc = table.set_index("test")["AUROC"]
    return table, [
        Claim("scVI finds the genes that differ (AUROC)", auroc["cells, scVI"], 0.85),
        Claim("scANVI finds them from labels alone (AUROC)", auroc["labels, scANVI"], 0.75),
        Claim("scVI is ahead of scANVI's labels (AUROC)", auroc["cells, scVI"] - auroc["labels, scANVI"], 0.0,
              "ahead", asserted=False),
        Claim("scVI is ahead of pseudobulks (the paper: of edgeR)", auroc["cells, scVI"] - auroc["pseudobulk, t"], 0.0,
              "ahead", asserted=False),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
