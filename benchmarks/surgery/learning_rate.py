"""What more optimisation of the new columns gives and takes.

    python benchmarks/surgery/learning_rate.py --data islets.h5ad --query inDrop_Baron --seeds 0 1 2

The same reference, mapped with several learning rates: accuracy on types the reference has, AUROC for types it lacks,
mixing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import scvi
from _common import QUIET, quiet, scores, show, split

import scarches_plus as sp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--query", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-3, 5e-3, 2e-2])
    parser.add_argument("--epochs", type=int, default=200)
    arguments = parser.parse_args()
    quiet()

    rows = []
    for seed in arguments.seeds:
        reference, query = split(arguments.data, arguments.query)
        scvi.settings.seed = seed
        model = sp.tl.build_reference(reference, "batch", max_epochs=arguments.epochs, train_kwargs=QUIET)
        for rate in arguments.rates:
            scvi.settings.seed = seed
            sp.tl.map_query(query, model, max_epochs=arguments.epochs, plan_kwargs={"lr": rate}, train_kwargs=QUIET)
            result = scores(reference, query, reference.obsm["X_scarches"], query.obsm["X_scarches"])
            rows.append({"learning rate": rate, "seed": seed, **result})
    table = pd.DataFrame(rows).set_index(["learning rate", "seed"])
    show(table.groupby("learning rate").mean(), f"{arguments.data.name}: mean of {len(arguments.seeds)} seeds")


if __name__ == "__main__":
    main()
