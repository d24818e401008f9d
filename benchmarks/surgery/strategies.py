"""scArches Fig. 2: what the three strategies cost and give.

    python benchmarks/surgery/strategies.py --data islets.h5ad --query inDrop_Baron --seeds 0 1 2

Parameters trained, mixing, neighbour preservation (against a model trained on every batch alone), accuracy on types the
reference has, AUROC for types it lacks, and the drift of the reference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
from _common import QUIET, quiet, scores, show, split

import scarches_plus as sp

STRATEGIES = {
    "condition": {},
    "condition, (n+m)(p+q)": {"train_reference_columns": True},
    "input_layers": {"strategy": "input_layers"},
    "all": {"strategy": "all"},
}


def separate_embeddings(parts, recipe, seed, epochs):
    """Embed every batch by a model trained on it alone."""
    embeddings = {}
    for cells in parts:
        for batch in cells.obs["batch"].unique():
            scvi.settings.seed = seed
            alone = cells[cells.obs["batch"] == batch].copy()
            sp.tl.build_reference(alone, "batch", recipe=recipe, max_epochs=epochs, train_kwargs=QUIET)
            embeddings[str(batch)] = alone.obsm["X_scarches"]
    return embeddings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--query", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--recipe", default="scvi")
    arguments = parser.parse_args()
    quiet()

    rows = []
    for seed in arguments.seeds:
        reference, query = split(arguments.data, arguments.query)
        separate = separate_embeddings([reference, query], arguments.recipe, seed, arguments.epochs)
        scvi.settings.seed = seed
        model = sp.tl.build_reference(
            reference, "batch", recipe=arguments.recipe, max_epochs=arguments.epochs, train_kwargs=QUIET
        )
        for name, options in STRATEGIES.items():
            scvi.settings.seed = seed
            mapped = sp.tl.map_query(query, model, max_epochs=arguments.epochs, train_kwargs=QUIET, **options)
            z_reference, z_query = mapped.embed(reference), query.obsm["X_scarches"]
            drift = sp.metrics.reference_drift(reference.obsm["X_scarches"], z_reference)
            batches = np.concatenate([reference.obs["batch"].astype(str), query.obs["batch"].astype(str)])
            rows.append(
                {
                    "strategy": name,
                    "seed": seed,
                    "parameters": mapped.surgery.n_trainable,
                    **scores(reference, query, z_reference, z_query),
                    "neighbor_preservation": sp.metrics.neighbor_preservation(
                        np.concatenate([z_reference, z_query]), separate, batches, k=15
                    ),
                    "drift_max": drift.max_displacement,
                    "drift_relative": drift.relative_rmsd,
                }
            )
            print(
                {key: round(value, 4) if isinstance(value, float) else value for key, value in rows[-1].items()},
                flush=True,
            )
    table = pd.DataFrame(rows).set_index(["strategy", "seed"])
    grouped = table.groupby("strategy", sort=False)
    show(grouped.mean(), f"{arguments.data.name}: mean of {len(arguments.seeds)} seeds")
    if len(arguments.seeds) > 1:
        show(grouped.std(), "standard deviation over seeds")


if __name__ == "__main__":
    main()
