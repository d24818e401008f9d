"""Mapping by sp.tl.map_query against plain scvi-tools with the settings scArches recommends, paired by seed.

    python benchmarks/surgery/against_scvi_tools.py --data islets.h5ad --query inDrop_Baron --seeds 0 1 2 3 4

Both sides train reference (200 epochs) and query (200 epochs) from the same seed, in alternating order, and are scored
the same way.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import pandas as pd
import scvi
from _common import QUIET, interval, quiet, scores, show, split

import scarches_plus as sp


def ours(reference, query, seed, epochs):
    scvi.settings.seed = seed
    start = perf_counter()
    model = sp.tl.build_reference(reference, "batch", recipe="scvi", max_epochs=epochs, train_kwargs=QUIET)
    middle = perf_counter()
    sp.tl.map_query(query, model, max_epochs=epochs, train_kwargs=QUIET)
    return reference.obsm["X_scarches"], query.obsm["X_scarches"], middle - start, perf_counter() - middle


def theirs(reference, query, seed, epochs):
    scvi.settings.seed = seed
    start = perf_counter()
    scvi.model.SCVI.setup_anndata(reference, batch_key="batch")
    model = scvi.model.SCVI(reference, n_layers=2, encode_covariates=True, use_layer_norm="both", use_batch_norm="none")
    model.train(epochs, **QUIET)
    z_reference = model.get_latent_representation()
    middle = perf_counter()
    scvi.model.SCVI.prepare_query_anndata(query, model)
    mapped = scvi.model.SCVI.load_query_data(query, model)
    mapped.train(epochs, plan_kwargs={"weight_decay": 0.0}, **QUIET)
    return z_reference, mapped.get_latent_representation(), middle - start, perf_counter() - middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--query", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=200)
    arguments = parser.parse_args()
    quiet()

    rows = []
    for seed in arguments.seeds:
        sides = {"scarches_plus": ours, f"scvi-tools {scvi.__version__}": theirs}
        for name in list(sides) if seed % 2 else list(sides)[::-1]:
            reference, query = split(arguments.data, arguments.query)
            z_reference, z_query, build, mapping = sides[name](reference, query, seed, arguments.epochs)
            result = scores(reference, query, z_reference, z_query)
            rows.append({"seed": seed, "side": name, **result, "build_s": build, "map_s": mapping})
            print(
                {key: round(value, 4) if isinstance(value, float) else value for key, value in rows[-1].items()},
                flush=True,
            )
    table = pd.DataFrame(rows).set_index(["side", "seed"]).sort_index()
    show(table.groupby("side").mean(), "means over seeds")
    wide = table.unstack("side")
    differences = {
        metric: interval(wide[metric]["scarches_plus"] - wide[metric].drop(columns="scarches_plus").iloc[:, 0])
        for metric in table.columns
        if not metric.endswith("_s")
    }
    columns = ["mean difference", "95 % from", "to"]
    show(
        pd.DataFrame.from_dict(differences, orient="index", columns=columns),
        "scarches_plus minus scvi-tools, paired by seed",
    )
    ratio = wide["map_s"].drop(columns="scarches_plus").iloc[:, 0] / wide["map_s"]["scarches_plus"]
    print(
        f"\ntime to map, scvi-tools / scarches_plus: median {ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
    )


if __name__ == "__main__":
    main()
